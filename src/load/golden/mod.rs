//! Golden cases from CSV, JSONL, JSON and YAML.
