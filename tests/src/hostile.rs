//! Hostile plugins, made of the text in `tests/hostile`.
//!
//! Must never know: what becomes of them.

use std::path::Path;

const SKELETON: &str = include_str!("../hostile/skeleton.wat");

const MANIFEST: &str = r#"
name = "hostile"
vendor = "Nobody"
version = "1"
abi = 1
classes = ["attack"]
scope = "flow"
events = ["packet"]
fuel = 10000
gid = 900
sids = [1, 9]
max_action = "terminate"
[[rule]]
sid = 1
rev = 1
message = "something"
class = "attack"
category = "test"
severity = "high"
confidence = "high"
action = "terminate"
offender = "client"
target = "server"
"#;

/// The TTL of a packet that [`trap_on_ttl`] chokes on.
pub const CRAFTED_TTL: u8 = 66;

/// Puts a detector into a folder that traps on packets of [`CRAFTED_TTL`].
pub fn trap_on_ttl(folder: &Path) {
    let manifest: String = MANIFEST.bytes().map(|b| format!("\\{b:02x}")).collect();
    let custom = format!("(@custom \"portcullis.manifest\" \"{manifest}\")");
    let judge = include_str!("../hostile/ttl.wat");
    let text = SKELETON.replace(";; JUDGE", judge).replace(";; IMPORTS", &custom);
    let wasm = wat::parse_str(text).expect("the skeleton is well-formed");
    std::fs::create_dir_all(folder).expect("the folder can be made");
    std::fs::write(folder.join("hostile.wasm"), wasm).expect("the folder can be written");
}
