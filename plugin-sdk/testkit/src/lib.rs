//! Runs a detector natively and in the sandbox on described cases, and asserts that both say the
//! same and what the case expects.
//!
//! A case is a TOML file in the plugin's `cases/`:
//!
//! ```toml
//! about = "A SYN to twenty ports of one machine"
//! settings = "ports_max = 10"        # as the operator's [plugins.NAME] would say; optional
//! section = "read-only bytes"        # of the section that the plugin reads; optional
//! until_ms = 5000                    # time goes on behind the last event; optional
//!
//! [[flow]]
//! name = "scan"
//! client = "192.0.2.1:40000"
//! server = "198.51.100.7:1"
//! protocol = "tcp"                   # or a number; "arp" is 0
//! server_inside = true
//!
//! [[event]]
//! at_ms = 0
//! kind = "flow-start"
//! flow = "scan"
//! tcp_flags = ["SYN"]
//! repeat = 20                        # each repetition is a flow of its own, and
//! step_ms = 10                       # … so much later,
//! step_server_port = 1               # … to the next port (or step_server, step_client,
//!                                    #   step_client_port)
//!
//! [[event]]
//! at_ms = 10
//! kind = "transaction"
//! flow = "scan"
//! application = "http"
//! transaction = 1
//!
//! [[event.buffer]]                   # any number; `payload` beside them is one too
//! kind = "http.uri"
//! text = "/cgi-bin/"                 # and hex = "2e 2e"; index, offset, flags = ["more"]
//!
//! [[event.hit]]                      # the kit scans for the plugin's patterns itself; these are
//! buffer = 0                         # beside what it finds
//! pattern = 3
//! end = 8
//!
//! [[expect]]
//! sid = 1
//! offender = "192.0.2.1"             # everything but sid is optional; count = 1
//! action = "terminate-and-block"
//! ```
//!
//! Events of one moment are one batch. Every finding must be expected, and every expectation met.
//! Ticks come as the manifest's `tick_ms` says, and the end of input comes last.

mod case;
mod compare;
mod find;
mod run;

pub use case::Case;
pub use run::{Given, Side, check_all, check_all_with, wasm};
