//! The compiled form of a rule set: layout and total reader.
