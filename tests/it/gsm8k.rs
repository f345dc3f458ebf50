//! gsm8k
