//! The user that the engine is to run as, by `/etc/passwd` and `/etc/group`. Directory services are
//! not asked: an engine must start while the network is down.

use std::fs;

/// Where users are.
const PASSWD: &str = "/etc/passwd";
/// Where groups are.
const GROUP: &str = "/etc/group";

/// A user with all groups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// The name.
    pub name: String,
    /// The user's number.
    pub uid: u32,
    /// The number of the first group.
    pub gid: u32,
    /// The numbers of all groups that have the user as a member, the first one left out.
    pub groups: Vec<u32>,
}

impl Account {
    /// Looks a name up.
    ///
    /// # Errors
    /// There is no user of that name; the sentence says what to do behind its semicolon.
    pub fn named(name: &str) -> Result<Account, String> {
        let read = |file: &str| {
            fs::read_to_string(file).map_err(|e| format!("{file}: {e}; make it readable"))
        };
        Account::find(name, &read(PASSWD)?, &read(GROUP).unwrap_or_default()).ok_or_else(|| {
            format!(
                "[engine] user: there is no user `{name}` in {PASSWD}; make one \
                 (`useradd --system {name}`), name another, or write user = \"\" to stay who we are"
            )
        })
    }

    fn find(name: &str, passwd: &str, group: &str) -> Option<Account> {
        let (uid, gid) = passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [of, _, uid, gid, ..] = fields.as_slice() else { return None };
            (*of == name).then(|| Some((uid.parse().ok()?, gid.parse().ok()?)))?
        })?;
        let groups = group.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [_, _, number, members] = fields.as_slice() else { return None };
            let number = number.parse().ok().filter(|n| *n != gid)?;
            members.split(',').any(|member| member == name).then_some(number)
        });
        Some(Account { name: name.to_owned(), uid, gid, groups: groups.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_its_own_group_and_those_that_list_it() {
        let passwd =
            "root:x:0:0::/root:/bin/sh\ntorn:x\nips:x:990:989::/:/bin/false\nip:x:5:5::/:\n";
        let group = "root:x:0:\nips:x:989:ips\nadm:x:4:ip,ips\ntorn\nsys:x:3:ip\n";
        let found = Account::find("ips", passwd, group);
        let wanted = Account { name: "ips".into(), uid: 990, gid: 989, groups: vec![4] };
        assert_eq!(found, Some(wanted));
        assert_eq!(Account::find("torn", passwd, group), None);
        assert_eq!(Account::find("", passwd, group), None);
    }

    #[test]
    fn a_name_that_nobody_has_is_refused_with_a_remedy() {
        assert_eq!(Account::named("root").map(|a| a.uid), Ok(0));
        let said = Account::named("no-such-user").expect_err("nobody is called that");
        assert!(said.contains("`no-such-user`") && said.contains("; make one"), "{said}");
    }
}
