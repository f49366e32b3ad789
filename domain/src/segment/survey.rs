//! One look at all people of a site: what limits, scales and percentiles are taken from.

use super::lifecycle::{self, Buyers, Curve, Gaps, Rhythm, Stage, Standing};
use super::rfm::{CustomerOrders, Cuts, Scales};
use super::rule::{self, Percentiles};
use super::{Assigned, Customer, SegmentBook, date_of, day_number};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// What a site has settled for itself. What it has not is taken from its people on the day at hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The limits of that day, see [`lifecycle::at`].
    pub rhythm: Option<Rhythm>,
    /// The site's own RFM thresholds.
    pub cuts: Option<Cuts>,
}

/// A site's people as they stood at the end of one day, counted and measured, not yet put into segments.
#[derive(Clone, Debug)]
pub struct Survey {
    day: i64,
    gaps: [Gaps; 4],
    buyers: Vec<CustomerOrders>,
    /// One for each of `people` who has ordered, in their order, is in `buyers`.
    people: Vec<Assigned>,
}

impl Survey {
    /// Looks at everybody as of a day that ends at `as_of_end` (exclusive) in the site's time zone.
    ///
    /// Only what was there then is looked at: orders before `as_of_end`, people first seen before it. Whether somebody
    /// had signed up is taken as it is known now.
    pub fn of(customers: &[Customer], as_of_end: Timestamp, time_zone: &TimeZone) -> Survey {
        let day_of = |at: Timestamp| day_number(at, time_zone);
        let as_of_day = day_of(as_of_end.saturating_sub(SignedDuration::from_nanos(1)).unwrap_or(Timestamp::MIN));
        let days_between = |from: i64, to: i64| u32::try_from(to - from).unwrap_or(0);

        let mut survey = Survey { day: as_of_day, gaps: Default::default(), buyers: Vec::new(), people: Vec::new() };
        for customer in customers {
            let count = customer.purchases.partition_point(|purchase| purchase.at < as_of_end);
            let purchases = &customer.purchases[..count];
            let seen = purchases.first().map_or(customer.first_seen, |first| first.at.min(customer.first_seen));
            if seen >= as_of_end || (purchases.is_empty() && !customer.signed_up) {
                continue;
            }
            let mut orders = 0;
            let mut since = day_of(seen);
            for purchase in purchases {
                let day = day_of(purchase.at);
                // Orders of one day are one occasion, and who buys on the day of signing up was never a mere sign-up.
                if day > since {
                    survey.gaps[Buyers::after(orders) as usize].returned(days_between(since, day));
                }
                since = day;
                orders += 1;
            }
            let idle_days = days_between(since, as_of_day);
            let bracket = Buyers::after(orders);
            survey.gaps[bracket as usize].waiting(idle_days);
            if orders > 0 {
                let spent_minor = purchases.iter().fold(0_i64, |sum, purchase| sum.saturating_add(purchase.minor));
                survey.buyers.push(CustomerOrders { recency_days: idle_days, orders, spent_minor });
            }
            let lifecycle = Standing { buyers: bracket, stage: Stage::Active };
            survey.people.push(Assigned { profile_id: customer.profile_id, rfm: None, lifecycle, orders, idle_days });
        }
        survey
    }

    /// The limits and gaps that these people show: what [`lifecycle::revise`] compares with those the site has.
    pub fn rhythm(&self) -> Rhythm {
        Rhythm::of(&self.gaps)
    }

    /// The curves behind the limits.
    pub fn curves(&self) -> [Curve; 4] {
        Curve::all(&self.gaps)
    }

    fn settled(&self, settings: &Settings) -> (Rhythm, Scales) {
        let rhythm = settings.rhythm.unwrap_or_else(|| self.rhythm());
        let scales = settings.cuts.as_ref().map_or_else(|| Scales::of(&self.buyers), Scales::from_cuts);
        (rhythm, scales)
    }

    /// Everybody in their segments.
    pub fn book(self, settings: &Settings) -> SegmentBook {
        let (Rhythm { limits, .. }, scales) = self.settled(settings);
        let mut scores = self.buyers.iter().map(|customer| scales.scores(customer));
        let mut people = self.people;
        let mut grid = [[0; 5]; 5];
        let mut standings = [[0; 3]; 4];
        for person in &mut people {
            let bracket = person.lifecycle.buyers as usize;
            person.lifecycle.stage = lifecycle::stage(&limits[bracket], person.idle_days);
            standings[bracket][person.lifecycle.stage as usize] += 1;
            if person.orders > 0 {
                person.rfm = scores.next();
            }
            if let Some(cell) = person.rfm.map(|scores| scores.cell()) {
                grid[usize::from(cell.recency()) - 1][usize::from(cell.frequency()) - 1] += 1;
            }
        }
        people.sort_unstable_by_key(|person| person.profile_id);
        SegmentBook { day: date_of(self.day), people, scales, limits, grid, standings }
    }

    /// What rules need to know of the site on that day. What models expect of the buyers and the computed traits are not
    /// among it: the caller sets [`rule::Site::expected_revenue`] and [`rule::Site::computed`] where there are any.
    pub fn site_values(&self, time_zone: &TimeZone, currency_digits: u32, settings: &Settings) -> rule::Site {
        let (Rhythm { limits, usual_gap_days }, scales) = self.settled(settings);
        let of_buyers = |value: fn(&CustomerOrders) -> f64| Percentiles::of(self.buyers.iter().map(value).collect());
        rule::Site {
            time_zone: time_zone.clone(),
            currency_digits,
            limits,
            usual_gap_days,
            scales,
            revenue: of_buyers(|buyer| buyer.spent_minor as f64),
            order_value: of_buyers(|buyer| buyer.spent_minor as f64 / f64::from(buyer.orders)),
            expected_revenue: Percentiles::default(),
            computed: rule::ComputedTraits::default(),
        }
    }
}

/// What rules need to know of a site as of a day that ends at `as_of_end` (exclusive), see [`Survey::site_values`].
/// `currency_digits` are those after the point, 2 for euros.
pub fn site_values(
    customers: &[Customer],
    as_of_end: Timestamp,
    time_zone: &TimeZone,
    currency_digits: u32,
    settings: &Settings,
) -> rule::Site {
    Survey::of(customers, as_of_end, time_zone).site_values(time_zone, currency_digits, settings)
}
