//! placeholder until the demo
fn main() {}
