//! The cases in `cases/`, natively and in the sandbox.

use std::path::Path;

#[test]
fn every_case_holds_on_both_sides_of_the_sandbox() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let module = portcullis_testkit::wasm(dir, "packet-attacks");
    portcullis_testkit::check_all(dir, packet_attacks::native, &module);
}
