//! The lab: real hosts in network namespaces around the real engine, and the tools that attack.
//!
//! What it is: everything a test across crates needs to build a street of machines, put the engine
//! in the middle, send traffic of every kind, and ask afterwards what arrived and what the engine
//! says of it. What it must never know: anything inside the engine. It sees a binary, a
//! configuration file, a control socket, and files of events, as an operator does.
//!
//! ```text
//!   outside                        engine                         inside
//!   attacker   10 ─┐                                            ┌─ server10  10
//!   neighbour  10 ─┤          ┌────────────────┐                ├─ server20  20
//!   honest20   20 ─┼─ bridge ─┤ port-a  port-b ├─ bridge ───────┼─ server0   no tag
//!   honest0  none ─┤          └────────────────┘                └─ serverq   10.20
//!   honestq 10.20 ─┘
//! ```
//!
//! `attacker`, `honest20`, `honest0` and `honestq` have the **same** addresses, and so have the
//! four servers: only the tags keep them apart.
//!
//! A function here panics with a sentence when the machine refuses something that the lab needs;
//! whatever was built is taken down while the panic unwinds, and a namespace whose owner was
//! killed is swept away by the next lab.

pub mod attacks;
pub mod capture_file;
pub mod command;
pub mod demo;
pub mod engine;
pub mod evasion;
pub mod frames;
pub mod hostile;
pub mod lab;
pub mod made_traffic;
pub mod namespace;
pub mod place;
pub mod replay;
pub mod requirement;
pub mod service;
pub mod sniffer;
pub mod story;
pub mod traffic;
