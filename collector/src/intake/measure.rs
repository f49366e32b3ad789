//! Consent mode `measure`: a visitor is a hash with the day's salt. The salts of past days are destroyed, so that
//! nobody can find out afterwards who was counted.

use crate::secrets;
use crate::store::{Store, StoreError};
use jiff::civil::Date;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, RwLock};

/// The salts of yesterday, today and tomorrow.
pub(crate) struct Salts {
    store: Store,
    by_day: RwLock<BTreeMap<Date, [u8; 32]>>,
}

impl Salts {
    pub(crate) fn new(store: Store) -> Salts {
        Salts { store, by_day: RwLock::default() }
    }

    /// Makes today's and tomorrow's salts where they are missing, destroys those older than yesterday's. To be called
    /// at the start and every few minutes.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn turn(&self, today: Date) -> Result<(), StoreError> {
        let salts = self.store.turn_salts(today, [secrets::random(), secrets::random()])?;
        *self.by_day.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = salts.into_iter().collect();
        Ok(())
    }

    /// The visitor of an address and an agent on a day of a site. Without a salt (a retry from before yesterday) a
    /// page load is a visitor of its own.
    pub(crate) fn visitor(
        &self,
        site_id: i32,
        day: Date,
        address: IpAddr,
        agent: &str,
        load_id: uuid::Uuid,
    ) -> Arc<str> {
        let by_day = self.by_day.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let id = match by_day.get(&day) {
            Some(salt) => {
                let address = address.to_string();
                secrets::hash_id(&[salt, &site_id.to_be_bytes(), address.as_bytes(), agent.as_bytes()])
            }
            None => load_id,
        };
        id.simple().to_string().into()
    }
}
