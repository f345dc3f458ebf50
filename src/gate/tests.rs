//! The decision: tables, properties, and how often it errs.
