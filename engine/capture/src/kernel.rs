//! Loads the kernel program.
