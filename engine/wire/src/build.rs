//! Frames crafted for tests and tools, with right lengths and checksums.
//!
//! Not for the street: this module allocates.
