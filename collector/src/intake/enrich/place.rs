//! Countries of network addresses. An address is cut to its network before anything is looked up, and goes no further.

use anyhow::Context as _;
use maxminddb::{Reader, path};
use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// The address of the person whom a trusted sender's event is about. It is never stored and never printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) IpAddr);

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address")
    }
}

impl Address {
    /// Reads what a sender says; `None` when it is no address, or stands for none.
    pub(crate) fn parse(text: &str) -> Option<Address> {
        let address: IpAddr = text.trim().parse().ok()?;
        (!address.is_unspecified()).then_some(Address(address))
    }
}

/// The countries' database, where this binary or its owner has one.
pub(super) struct Places {
    reader: Option<Reader<Cow<'static, [u8]>>>,
}

impl Places {
    /// Opens the owner's database, or the built-in one.
    pub(super) fn open(file: Option<&Path>, built_in: &'static [u8]) -> anyhow::Result<Places> {
        let bytes: Cow<'static, [u8]> = match file {
            Some(file) => {
                let unreadable = || format!("cannot read the countries' database {}", file.display());
                std::fs::read(file).with_context(unreadable)?.into()
            }
            None => built_in.into(),
        };
        if bytes.is_empty() {
            tracing::warn!(
                "this binary was built without lists: no countries and no bots are known; run `cargo xtask assets` and build again"
            );
            return Ok(Places { reader: None });
        }
        let reader = Reader::from_source(bytes).context("the countries' database is no MaxMind DB file")?;
        Ok(Places { reader: Some(reader) })
    }

    /// The code of the country that an address belongs to; `None` for what is not on the public internet.
    pub(super) fn country(&self, address: IpAddr) -> Option<&str> {
        let network = network(address)?;
        let found = self.reader.as_ref()?.lookup(network).ok()?;
        // DB-IP's lite form, and the form of GeoIP2 and GeoLite2, which owners may have.
        let flat: Option<&str> = found.decode_path(&path!["country_code"]).ok()?;
        match flat {
            Some(code) => Some(code),
            None => found.decode_path(&path!["country", "iso_code"]).ok()?,
        }
    }
}

/// The network of an address, as far as it is looked at: 24 bits of IPv4, 48 of IPv6. `None` when it is not public.
fn network(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            let is_public = !(address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_documentation()
                || address.is_multicast()
                || address.is_broadcast()
                || a == 0
                || is_shared);
            is_public.then_some(IpAddr::V4(Ipv4Addr::new(a, b, c, 0)))
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            // 2000::/3 is what is given out, and of it 2001:db8::/32 is for books.
            let is_public = a & 0xe000 == 0x2000 && (a, b) != (0x2001, 0x0db8);
            is_public.then_some(IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_cut_to_its_network_before_it_is_looked_at() {
        let cut = |text: &str| network(text.parse().unwrap()).map(|network| network.to_string());
        assert_eq!(cut("1.1.1.1").as_deref(), Some("1.1.1.0"));
        assert_eq!(cut("::ffff:8.8.8.8").as_deref(), Some("8.8.8.0"));
        assert_eq!(cut("2a01:cb00:12:34:56:78:9a:bc").as_deref(), Some("2a01:cb00:12::"));
        for no_public in
            ["10.1.2.3", "127.0.0.1", "192.0.2.1", "100.64.0.1", "0.0.0.0", "::1", "fe80::1", "2001:db8::1"]
        {
            assert_eq!(cut(no_public), None, "{no_public}");
        }
    }

    #[test]
    fn an_address_is_never_printed() {
        let address = Address::parse(" 203.0.113.77 ").unwrap();
        assert_eq!(format!("{address:?}"), "an address");
        assert_eq!((Address::parse("0.0.0.0"), Address::parse("unknown")), (None, None));
    }

    #[test]
    fn a_database_that_is_none_stops_the_start_and_none_at_all_does_not() {
        assert!(Places::open(None, b"no database").is_err());
        assert!(Places::open(Some(Path::new("/nowhere/countries.mmdb")), &[]).is_err());
        assert_eq!(Places::open(None, &[]).unwrap().country("1.1.1.1".parse().unwrap()), None);
    }
}
