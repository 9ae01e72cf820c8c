//! Suricata rules, evaluated in the sandbox.
