//! Compiles the kernel program, plain and for frames in several pieces.

use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = "bpf/portcullis.bpf.c";

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-env-changed=PORTCULLIS_CLANG");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    // Two objects, because one with both kinds of program sharing a DEVMAP fails to load.
    compile(&out.join("portcullis.bpf.o"), &[]);
    compile(&out.join("portcullis_frags.bpf.o"), &["-DFRAGS"]);
}

fn compile(object: &Path, definitions: &[&str]) {
    let clang = std::env::var("PORTCULLIS_CLANG").unwrap_or_else(|_| "clang".to_owned());
    let run = Command::new(&clang)
        .args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror"])
        .args(definitions)
        .args(["-c", SOURCE, "-o"])
        .arg(object)
        .output();
    let reason = match run {
        Ok(done) if done.status.success() => return,
        Ok(done) => String::from_utf8_lossy(&done.stderr).into_owned(),
        Err(e) => format!(
            "{e}. The kernel program is compiled with clang: `apt-get install clang llvm`, or run \
             scripts/setup, or name one with PORTCULLIS_CLANG"
        ),
    };
    eprintln!("cannot compile {SOURCE} with `{clang}`: {reason}");
    std::process::exit(1);
}
