//! How pages feel: a month with everything, nothing at all, one kind of device, and hostile paths.

use super::fixtures::{HOSTILE, now, site};
use domain::report::{Experience, PageExperience, Period, ViewSums, VitalSpread};
use domain::surroundings::DeviceClass;
use jiff::civil::date;

fn spread(views: u64, p75: u32, good: u64, poor: u64) -> VitalSpread {
    VitalSpread { views, p75: Some(p75), good, poor }
}

fn page(path: &str, views: u64, troubled: u64, lcp: u32) -> PageExperience {
    let vitals = [
        spread(views, lcp, views / 2, views / 10),
        VitalSpread::default(),
        spread(views, 104, views / 2, 0),
        spread(views, 1_208, views, 0),
        spread(views, 640, views, 0),
    ];
    let sums = ViewSums { views, troubled, vitals, errors: troubled, rage_clicks: 2, dead_clicks: 31 };
    PageExperience { page: path.into(), sums }
}

pub(crate) fn experience() -> Experience {
    Experience {
        site: site(),
        period: Period::read(Some("30d"), None, None, date(2026, 11, 23)).expect("a period"),
        now: now(),
        device: None,
        total: ViewSums {
            views: 4_120,
            troubled: 312,
            vitals: [
                spread(3_900, 2_431, 3_015, 260),
                spread(2_210, 264, 1_500, 90),
                spread(3_900, 312, 2_400, 1_020),
                spread(4_000, 1_208, 3_600, 80),
                spread(4_100, 312, 4_000, 12),
            ],
            errors: 41,
            rage_clicks: 7,
            dead_clicks: 133,
        },
        pages: vec![
            page("shop.example/checkout", 610, 140, 4_210),
            page("shop.example/coffee/oat-blend", 1_204, 96, 2_640),
            page("shop.example/", 1_950, 40, 1_830),
        ],
        cut_at: None,
    }
}

pub(crate) fn empty() -> Experience {
    Experience { total: ViewSums::default(), pages: Vec::new(), ..experience() }
}

pub(crate) fn none_on_tablets() -> Experience {
    Experience { device: Some(DeviceClass::Tablet), ..empty() }
}

pub(crate) fn hostile() -> Experience {
    let mut report = experience();
    report.pages = vec![page(HOSTILE, u64::MAX / 200, u64::MAX, u32::MAX); 60];
    report.device = Some(DeviceClass::Mobile);
    report.cut_at = Some(200_000);
    report
}
