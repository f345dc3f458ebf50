//! Prompt versions in the dotprompt format.
