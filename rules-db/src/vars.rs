//! The variables that rules name: `$HOME_NET`, `$HTTP_PORTS` and their kind.

use crate::groups::Groups;
use std::collections::BTreeMap;

/// Address and port variables, each with its text as in Suricata's `vars`; a text may name other
/// variables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vars {
    /// By name, without `$`.
    pub addresses: BTreeMap<String, String>,
    /// By name, without `$`.
    pub ports: BTreeMap<String, String>,
}

const ADDRESSES: [(&str, &str); 15] = [
    ("HOME_NET", "[192.168.0.0/16,10.0.0.0/8,172.16.0.0/12]"),
    ("EXTERNAL_NET", "!$HOME_NET"),
    ("HTTP_SERVERS", "$HOME_NET"),
    ("SMTP_SERVERS", "$HOME_NET"),
    ("SQL_SERVERS", "$HOME_NET"),
    ("DNS_SERVERS", "$HOME_NET"),
    ("TELNET_SERVERS", "$HOME_NET"),
    ("AIM_SERVERS", "$EXTERNAL_NET"),
    ("DC_SERVERS", "$HOME_NET"),
    ("DNP3_SERVER", "$HOME_NET"),
    ("DNP3_CLIENT", "$HOME_NET"),
    ("MODBUS_CLIENT", "$HOME_NET"),
    ("MODBUS_SERVER", "$HOME_NET"),
    ("ENIP_CLIENT", "$HOME_NET"),
    ("ENIP_SERVER", "$HOME_NET"),
];

const PORTS: [(&str, &str); 11] = [
    ("HTTP_PORTS", "80"),
    ("SHELLCODE_PORTS", "!80"),
    ("ORACLE_PORTS", "1521"),
    ("SSH_PORTS", "22"),
    ("DNP3_PORTS", "20000"),
    ("MODBUS_PORTS", "502"),
    ("FILE_DATA_PORTS", "[$HTTP_PORTS,110,143]"),
    ("FTP_PORTS", "21"),
    ("GENEVE_PORTS", "6081"),
    ("VXLAN_PORTS", "4789"),
    ("TEREDO_PORTS", "3544"),
];

impl Default for Vars {
    /// As Suricata's shipped configuration has them: HOME_NET is RFC 1918, EXTERNAL_NET the rest.
    fn default() -> Self {
        let table = |rows: &[(&str, &str)]| {
            rows.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
        };
        Vars { addresses: table(&ADDRESSES), ports: table(&PORTS) }
    }
}

impl Vars {
    /// The defaults, with rows of the caller's over them.
    pub fn with<A, P, N, T>(addresses: A, ports: P) -> Self
    where
        A: IntoIterator<Item = (N, T)>,
        P: IntoIterator<Item = (N, T)>,
        N: Into<String>,
        T: Into<String>,
    {
        let mut vars = Vars::default();
        vars.addresses.extend(addresses.into_iter().map(|(n, t)| (n.into(), t.into())));
        vars.ports.extend(ports.into_iter().map(|(n, t)| (n.into(), t.into())));
        vars
    }

    /// The first of these names whose value cannot be read, with what is wrong and what to write
    /// instead; `None` where all can. A rule would say it too, but only one that uses the name.
    pub fn first_mistake<'n>(
        &self,
        names: impl IntoIterator<Item = &'n String>,
    ) -> Option<(&'n str, String)> {
        names.into_iter().find_map(|name| Some((name.as_str(), self.mistake(name)?)))
    }

    fn mistake(&self, name: &str) -> Option<String> {
        let mut groups = Groups::new(self);
        let text = format!("${name}");
        let addresses =
            self.addresses.contains_key(name).then(|| groups.addresses(text.as_bytes()).map(drop));
        let ports = self.ports.contains_key(name).then(|| groups.ports(text.as_bytes()).map(drop));
        let fault = [addresses, ports].into_iter().flatten().find_map(Result::err)?;
        Some(format!("{}; {}", fault.reason, fault.remedy))
    }

    /// The defaults, with the rows of a table such as our TOML's or the `vars` map of a
    /// suricata.yaml: `address-groups` and `port-groups` (also `addresses` and `ports`), each a
    /// table of name to text, number, or list of texts and numbers.
    ///
    /// # Errors
    /// A sentence that names the key and says what to write.
    pub fn from_table(table: &serde_json::Value) -> Result<Self, String> {
        let mut vars = Vars::default();
        let map =
            table.as_object().ok_or("vars: write a table with address-groups, port-groups")?;
        for (key, rows) in map {
            let target = match key.as_str() {
                "address-groups" | "addresses" => &mut vars.addresses,
                "port-groups" | "ports" => &mut vars.ports,
                _ => return Err(format!("vars: `{key}`; write address-groups or port-groups")),
            };
            let rows = rows
                .as_object()
                .ok_or_else(|| format!("vars.{key}: write a table of names, e.g. HOME_NET"))?;
            for (name, value) in rows {
                let text = text_of(value)
                    .ok_or_else(|| format!("vars.{key}.{name}: write a text or a list of them"))?;
                target.insert(name.clone(), text);
            }
        }
        Ok(vars)
    }
}

fn text_of(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Array(list) => {
            let parts: Option<Vec<String>> = list.iter().map(text_of).collect();
            parts.map(|p| format!("[{}]", p.join(",")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_goes_over_the_defaults() {
        let table = serde_json::json!({
            "address-groups": {"HOME_NET": ["10.1.0.0/16", "!10.1.2.3"]},
            "port-groups": {"HTTP_PORTS": [80, "8080:8090"], "SSH_PORTS": 2222},
        });
        let vars = Vars::from_table(&table).unwrap_or_default();
        assert_eq!(vars.addresses["HOME_NET"], "[10.1.0.0/16,!10.1.2.3]");
        assert_eq!(vars.ports["HTTP_PORTS"], "[80,8080:8090]");
        assert_eq!(vars.ports["SSH_PORTS"], "2222");
        assert_eq!(vars.addresses["EXTERNAL_NET"], "!$HOME_NET");
        assert!(Vars::from_table(&serde_json::json!({"adresses": {}})).is_err());
    }

    #[test]
    fn a_value_that_cannot_be_read_is_named_though_no_rule_uses_it() {
        let rows = [("HOME_NET", "banana"), ("LAB", "[10.0.0.0/8,!10.1.0.0/16]")];
        let vars = Vars::with(rows, [("HTTP_PORTS", "80:70000"), ("SSH_PORTS", "22")]);
        let mistake = |name: &str| vars.first_mistake([&name.to_owned()]).map(|(_, why)| why);
        assert!(mistake("HOME_NET").is_some_and(|why| why.contains("`banana`")));
        assert!(mistake("EXTERNAL_NET").is_some(), "it names HOME_NET");
        assert!(mistake("HTTP_PORTS").is_some_and(|why| why.contains("`80:70000`")));
        assert_eq!((mistake("LAB"), mistake("SSH_PORTS")), (None, None));
    }
}
