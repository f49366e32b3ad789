//! From pairs to people: connected components that do not run away.
//!
//! Taking every chain of links for one person is what joins a street into one customer: A resembles B and B resembles C,
//! though A and C are plainly two. Here two groups are joined only when all that is known of both speaks for it. Links
//! are taken from the strongest to the weakest, and a link joins its two groups when
//!
//! - the log-odds of *all* pairs across the two add up to more than 0, each held within ± 20 bits so that no single pair
//!   decides over all others. Pairs that were not compared before are compared now. This is the agglomerative rule for the
//!   objective of correlation clustering (Bansal, Blum & Chawla 2004, "Correlation clustering"), with log-odds as its
//!   edge weights as in McCallum & Wellner (2005), "Conditional models of identity uncertainty";
//! - the joint group has at most [`Settings::largest_cluster`] records;
//! - at most [`Settings::most_contradictions`] pairs across contradict each other (other dates of birth *and* other
//!   e-mail addresses or numbers);
//! - no person has said that two of them are kept apart.
//!
//! Order decides nothing: equal links are taken in the order of their records' values.

use super::Settings;

/// A pair's log-odds count within this, in bits.
const MOST_BITS: f64 = 20.0;

/// A link between two records, by their places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Link {
    pub(super) a: u32,
    pub(super) b: u32,
    pub(super) bits: f64,
}

/// What clustering asks about a pair.
pub(super) struct Opinion {
    pub(super) bits: f64,
    pub(super) contradicts: bool,
}

/// What persons have decided before, by the records' places.
#[derive(Clone, Debug, Default)]
pub(super) struct Fixed {
    pub(super) joined: Vec<(u32, u32)>,
    /// Sorted, each pair in both directions.
    pub(super) apart: Vec<(u32, u32)>,
}

impl Fixed {
    pub(super) fn new(joined: Vec<(u32, u32)>, apart: &[(u32, u32)]) -> Fixed {
        let mut both: Vec<(u32, u32)> = apart.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]).collect();
        both.sort_unstable();
        Fixed { joined, apart: both }
    }

    pub(super) fn keeps_apart(&self, a: u32, b: u32) -> bool {
        self.apart.binary_search(&(a, b)).is_ok()
    }
}

/// Groups of records: which group each is in, and who is in each.
struct Groups {
    of: Vec<u32>,
    members: Vec<Vec<u32>>,
}

impl Groups {
    fn join(&mut self, a: usize, b: usize) {
        let (into, from) = if self.members[a].len() >= self.members[b].len() { (a, b) } else { (b, a) };
        let moved = std::mem::take(&mut self.members[from]);
        for member in &moved {
            self.of[*member as usize] = into as u32;
        }
        self.members[into].extend(moved);
    }
}

/// The groups of records, those of two and more. Each is sorted, and they are sorted by their first record.
pub(super) fn clusters(
    records: usize,
    mut links: Vec<Link>,
    fixed: &Fixed,
    settings: &Settings,
    opinion: impl Fn(u32, u32) -> Opinion,
) -> Vec<Vec<u32>> {
    let all = 0..records as u32;
    let mut groups = Groups { of: all.clone().collect(), members: all.map(|record| vec![record]).collect() };
    for (a, b) in &fixed.joined {
        let (a, b) = (groups.of[*a as usize] as usize, groups.of[*b as usize] as usize);
        if a != b {
            groups.join(a, b);
        }
    }
    links.sort_by(|x, y| y.bits.total_cmp(&x.bits).then((x.a, x.b).cmp(&(y.a, y.b))));
    for link in links {
        let (a, b) = (groups.of[link.a as usize] as usize, groups.of[link.b as usize] as usize);
        if a != b && belong_together(&groups.members[a], &groups.members[b], fixed, settings, &opinion) {
            groups.join(a, b);
        }
    }
    let mut clusters: Vec<Vec<u32>> = groups.members.into_iter().filter(|members| members.len() > 1).collect();
    for cluster in &mut clusters {
        cluster.sort_unstable();
    }
    clusters.sort_unstable();
    clusters
}

fn belong_together(
    a: &[u32],
    b: &[u32],
    fixed: &Fixed,
    settings: &Settings,
    opinion: &impl Fn(u32, u32) -> Opinion,
) -> bool {
    if a.len() + b.len() > settings.largest_cluster {
        return false;
    }
    let (mut bits, mut contradictions) = (0.0, 0);
    for (a, b) in a.iter().flat_map(|a| b.iter().map(move |b| (*a, *b))) {
        if fixed.keeps_apart(a, b) {
            return false;
        }
        let opinion = opinion(a, b);
        bits += opinion.bits.clamp(-MOST_BITS, MOST_BITS);
        contradictions += usize::from(opinion.contradicts);
    }
    bits > 0.0 && contradictions <= settings.most_contradictions
}
