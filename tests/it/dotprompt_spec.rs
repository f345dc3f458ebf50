//! dotprompt_spec
