//! What a site's models say, in versions: the values that rules are asked with.

use super::StoreError;
use super::sites::Site;
use diesel::PgConnection;
use domain::segment::rule;

/// The values that a site's rules are asked with today.
pub(crate) fn read_values(_connection: &mut PgConnection, site: &Site) -> Result<rule::Site, StoreError> {
    Ok(rule::Site::new(site.time_zone.clone(), site.currency.digits()))
}
