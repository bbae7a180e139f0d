//! What makes two addresses count as one where the scope is `url`.
//!
//! An address is read as browsers read it (the URL Standard): white space around it, tabs and line
//! ends inside go, scheme and host become lower case, a host with other letters its ASCII form,
//! `.` and `..` are resolved, a port that is the scheme's own goes. Beyond that the fragment goes,
//! parameters that only track where a reader came from ([`TRACKING`]) go, and slashes at the end of
//! the path go. The order of the other parameters, `www.` and the scheme itself make a difference.

use std::borrow::Cow;

use url::Url;

/// Parameters that name a campaign or a click and never choose what is shown; any case.
const TRACKING: [&str; 12] = [
    "dclid", "fbclid", "gbraid", "gclid", "igshid", "mc_cid", "mc_eid", "msclkid", "twclid",
    "wbraid", "yclid", "_ga",
];

/// Parameters of this beginning are [`TRACKING`] ones.
const TRACKING_PREFIX: &str = "utm_";

/// Returns what an address is compared by, or `None` for one that is empty.
///
/// What cannot be read as an address is compared as it stands, white space around it left out.
#[must_use]
pub fn url_key(address: &str) -> Option<String> {
    let address = address.trim();
    if address.is_empty() {
        return None;
    }
    let Ok(mut url) = Url::parse(address) else { return Some(address.to_owned()) };
    url.set_fragment(None);
    if let Some(query) = url.query() {
        let kept: Vec<&str> = query.split('&').filter(|pair| !is_tracking(pair)).collect();
        let kept = kept.join("&");
        url.set_query((!kept.is_empty()).then_some(kept.as_str()));
    }
    if !url.cannot_be_a_base() {
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
    }
    Some(without_last_slash(&url))
}

/// The path of an address with a host is `/` at least: the slash that setting it brought back goes.
fn without_last_slash(url: &Url) -> String {
    let is_root = url.has_host() && url.path() == "/";
    let key = url.as_str();
    match (is_root, url.query()) {
        (true, None) => key.trim_end_matches('/').to_owned(),
        (true, Some(query)) => {
            let before = &key[..key.len() - query.len() - "/?".len()];
            format!("{before}?{query}")
        }
        (false, _) => key.to_owned(),
    }
}

fn is_tracking(pair: &str) -> bool {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    let name: Cow<'_, str> = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    };
    name.starts_with(TRACKING_PREFIX) || TRACKING.contains(&&*name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_page_has_one_key() {
        for address in [
            "http://example.com",
            "HTTP://EXAMPLE.com/",
            "http://example.com:80",
            "http://example.com/#top",
            " http://example.com//\n",
            "http://example.com/?",
            "http://example.com/?utm_source=feed&UTM_Medium=x#a",
            "http://example.com/a/../",
        ] {
            assert_eq!(url_key(address).as_deref(), Some("http://example.com"), "{address}");
        }
        for address in [
            "https://example.com/Path/?b=2&a=1",
            "https://Example.COM:443/Path?b=2&gclid=x&a=1&fbclid",
            "https://example.com/./Path/?b=2&a=1#part",
        ] {
            let key = "https://example.com/Path?b=2&a=1";
            assert_eq!(url_key(address).as_deref(), Some(key), "{address}");
        }
        let host = url_key("http://Bücher.example/Ü?q=é").unwrap();
        assert_eq!(host, "http://xn--bcher-kva.example/%C3%9C?q=%C3%A9");
        assert_eq!(url_key("http://example.com/?q=1").unwrap(), "http://example.com?q=1");
    }

    #[test]
    fn what_may_show_another_page_has_another_key() {
        let addresses = [
            "http://example.com/a",
            "https://example.com/a",
            "http://www.example.com/a",
            "http://example.com:8080/a",
            "http://example.com/A",
            "http://example.com/a?id=1",
            "http://example.com/a?id=2",
            "http://example.com/a?utm=1",
            "http://example.com/a?x=utm_source",
            "http://user@example.com/a",
            "mailto:a@example.com",
            "mailto:a@example.com/",
            "no address",
            "No address",
            "/a",
        ];
        let keys: std::collections::HashSet<_> = addresses.into_iter().map(url_key).collect();
        assert_eq!(keys.len(), addresses.len());
        assert_eq!(url_key(""), None);
        assert_eq!(url_key(" \n"), None);
    }

    proptest! {
        #[test]
        fn the_key_of_a_key_is_itself(address in prop_oneof![
            "(https?|ftp|file|data|x-y):(//)?[a-z.A-Zé@:0-9]{0,9}(/[a-z./%20 é]{0,9})?(\\?[a-z&=_#utm]{0,12})?",
            "\\PC{0,30}",
        ]) {
            if let Some(key) = url_key(&address) {
                prop_assert_eq!(url_key(&key).unwrap_or_default(), key, "{}", address);
            }
        }
    }
}
