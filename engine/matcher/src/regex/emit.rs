//! From the tree to the text that an engine reads, with every default spelled out.
//!
//! Sets are written byte by byte in hexadecimal, case is folded already, and no engine's idea of
//! a digit or a line matters. It must never know the original text.

use super::Engine;
use super::syntax::{ByteSet, Greed, GroupKind, Node, Place};
use std::fmt::Write;

/// The text of `node` for `engine`.
pub(crate) fn emit(node: &Node, engine: Engine) -> String {
    let mut text = String::new();
    write_node(node, engine, &mut text);
    text
}

fn write_node(node: &Node, engine: Engine, text: &mut String) {
    match node {
        Node::Empty => text.push_str("(?:)"),
        Node::Bytes(set) => write_set(set, text),
        Node::Place(place) => text.push_str(place_text(*place, engine)),
        Node::Group(kind, node) => {
            match kind {
                GroupKind::Capture => text.push('('),
                GroupKind::Plain => text.push_str("(?:"),
                GroupKind::Atomic => text.push_str("(?>"),
                GroupKind::Ahead => text.push_str("(?="),
                GroupKind::NotAhead => text.push_str("(?!"),
                GroupKind::Behind => text.push_str("(?<="),
                GroupKind::NotBehind => text.push_str("(?<!"),
            }
            write_node(node, engine, text);
            text.push(')');
        }
        Node::Sequence(nodes) => {
            text.push_str("(?:");
            nodes.iter().for_each(|node| write_node(node, engine, text));
            text.push(')');
        }
        Node::Choice(nodes) => {
            text.push_str("(?:");
            for (place, node) in nodes.iter().enumerate() {
                text.push_str(if place == 0 { "" } else { "|" });
                write_node(node, engine, text);
            }
            text.push(')');
        }
        Node::Repeat { node, least, most, greed } => {
            write_repeat(node, (*least, *most), *greed, engine, text);
        }
        Node::Back { to, folds } => {
            text.push_str(if *folds { "(?i:" } else { "(?:" });
            put(text, format_args!("\\{to}"));
            text.push(')');
        }
        Node::Keep => text.push_str("\\K"),
        Node::Conditional { on, yes, no } => {
            put(text, format_args!("(?({on})"));
            write_node(yes, engine, text);
            text.push('|');
            write_node(no, engine, text);
            text.push(')');
        }
    }
}

fn write_repeat(
    node: &Node,
    (least, most): (u32, Option<u32>),
    greed: Greed,
    engine: Engine,
    text: &mut String,
) {
    if greed == Greed::Possessive {
        text.push_str("(?>");
    }
    text.push_str("(?:");
    write_node(node, engine, text);
    text.push(')');
    match (least, most) {
        (0, None) => text.push('*'),
        (1, None) => text.push('+'),
        (0, Some(1)) => text.push('?'),
        (least, None) => put(text, format_args!("{{{least},}}")),
        (least, Some(most)) if least == most => put(text, format_args!("{{{least}}}")),
        (least, Some(most)) => put(text, format_args!("{{{least},{most}}}")),
    }
    match greed {
        Greed::Greedy => {}
        Greed::Lazy => text.push('?'),
        Greed::Possessive => text.push(')'),
    }
}

fn write_set(set: &ByteSet, text: &mut String) {
    match set.runs().as_slice() {
        [(byte, last)] if byte == last => write_byte(*byte, text),
        // An empty set: nothing is below 0 or above 255.
        [] => text.push_str("[^\\x00-\\xff]"),
        runs => {
            text.push('[');
            for (first, last) in runs {
                write_byte(*first, text);
                if first != last {
                    text.push('-');
                    write_byte(*last, text);
                }
            }
            text.push(']');
        }
    }
}

/// Letters as they are; all else, digits too, in hexadecimal, so that nothing joins its neighbour.
fn write_byte(byte: u8, text: &mut String) {
    if byte.is_ascii_alphabetic() {
        text.push(char::from(byte));
    } else {
        put(text, format_args!("\\x{byte:02x}"));
    }
}

fn place_text(place: Place, engine: Engine) -> &'static str {
    match (place, engine) {
        (Place::Start, _) => "\\A",
        (Place::End, _) => "\\z",
        // The linear engine runs a second time without the newline: see `compiled`.
        (Place::EndOrNewline, Engine::Linear) => "\\z",
        (Place::EndOrNewline, Engine::Backtracking) => "(?=\\x0a?\\z)",
        (Place::LineStart, Engine::Linear) => "(?m:^)",
        (Place::LineStart, Engine::Backtracking) => "(?:\\A|(?<=\\x0a))",
        (Place::LineEnd, Engine::Linear) => "(?m:$)",
        (Place::LineEnd, Engine::Backtracking) => "(?=\\x0a|\\z)",
        (Place::WordEdge, Engine::Linear) => "\\b",
        (Place::WordEdge, Engine::Backtracking) => {
            "(?:(?<=[0-9A-Za-z_])(?![0-9A-Za-z_])|(?<![0-9A-Za-z_])(?=[0-9A-Za-z_]))"
        }
        (Place::NoWordEdge, Engine::Linear) => "\\B",
        (Place::NoWordEdge, Engine::Backtracking) => {
            "(?:(?<=[0-9A-Za-z_])(?=[0-9A-Za-z_])|(?<![0-9A-Za-z_])(?![0-9A-Za-z_]))"
        }
        (Place::SearchStart, _) => "\\G",
    }
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(arguments);
}
