//! gemini_wire
