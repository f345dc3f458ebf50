//! gate_oracles
