//! Suggestions for the profiles of a site: who is probably the same person.

use super::{Evidence, Known, Pattern, Progress, Record, Settings, find_with};
use crate::event::ProfileId;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A profile with what is known of its person: one record for each set of values that belong together, so that two
/// e-mail addresses or a former surname are two records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The profile.
    pub profile_id: ProfileId,
    /// Its records. Those that are empty are left out.
    pub records: Vec<Record>,
}

/// What persons have decided about pairs of profiles, in either order. Profiles that are not there any more are ignored.
#[derive(Clone, Copy, Debug, Default)]
pub struct Judged<'a> {
    /// These are two people.
    pub kept_apart: &'a [(ProfileId, ProfileId)],
    /// These are one person.
    pub joined: &'a [(ProfileId, ProfileId)],
}

/// Two profiles that are probably one person.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    /// The profile with the smaller number.
    pub a: ProfileId,
    /// The other.
    pub b: ProfileId,
    /// That they are one person, in 0..=1.
    pub probability: f64,
    /// What of their best matching records speaks for and against it, the strongest first.
    pub evidence: Vec<Evidence>,
    /// What it takes away that they may be two people of one home, in bits, at most 0.
    pub household_bits: f64,
    /// What their best matching records agree on.
    pub pattern: Pattern,
    /// May be applied without a person: the probability is at least the site's threshold, and both stand in one group
    /// that no contradiction and no decision of a person speaks against.
    pub automatic: bool,
}

/// What [`suggest()`] found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suggestions {
    /// The most probable first; equally probable ones by number.
    pub suggestions: Vec<Suggestion>,
    /// How many pairs of records were compared.
    pub compared: usize,
}

/// Suggests which profiles are the same person.
///
/// Pairs from [`Settings::told_from`] on are suggested; `automatic` are those above [`Settings::threshold`] that the
/// clusters bear out. A pair that a person has judged is not suggested again, and one that is kept apart is not joined
/// through a third profile either: of two automatic suggestions that together would do so only the stronger is automatic.
pub fn suggest(
    people: &[Person],
    judged: Judged<'_>,
    settings: &Settings,
    progress: impl FnMut(Progress),
) -> Suggestions {
    let mut records: Vec<Record> = Vec::new();
    let mut owners: Vec<ProfileId> = Vec::new();
    let mut of_profile: HashMap<ProfileId, Vec<usize>> = HashMap::new();
    for person in people {
        for record in person.records.iter().filter(|record| !record.is_empty()) {
            of_profile.entry(person.profile_id).or_default().push(records.len());
            records.push(record.clone());
            owners.push(person.profile_id);
        }
    }
    let both = |pairs: &[(ProfileId, ProfileId)]| -> Vec<(usize, usize)> {
        let places = |(a, b): &(ProfileId, ProfileId)| of_profile.get(a).zip(of_profile.get(b));
        let all = |(a, b): (&Vec<usize>, &Vec<usize>)| -> Vec<(usize, usize)> {
            a.iter().flat_map(|a| b.iter().map(move |b| (*a, *b))).collect()
        };
        pairs.iter().filter_map(places).flat_map(all).collect()
    };
    // The records of one profile are one person.
    let mut joined: Vec<(usize, usize)> = Vec::new();
    for person in people {
        let own = of_profile.get(&person.profile_id).map_or(&[][..], Vec::as_slice);
        joined.extend(own.windows(2).map(|two| (two[0], two[1])));
    }
    joined.extend(both(judged.joined));
    let known = Known { joined: &joined, apart: &both(judged.kept_apart) };
    let matching = find_with(&records, settings, known, progress);

    let mut cluster_of: HashMap<ProfileId, usize> = HashMap::new();
    for (number, cluster) in matching.clusters.iter().enumerate() {
        cluster_of.extend(cluster.iter().map(|place| (owners[*place], number)));
    }
    let in_order = |(a, b): &(ProfileId, ProfileId)| (*a.min(b), *a.max(b));
    let settled: BTreeSet<_> = judged.kept_apart.iter().chain(judged.joined).map(in_order).collect();
    let mut best: BTreeMap<(ProfileId, ProfileId), Suggestion> = BTreeMap::new();
    // The strongest pair of each two profiles comes first.
    for pair in matching.pairs {
        let (a, b) = in_order(&(owners[pair.a], owners[pair.b]));
        if a == b || settled.contains(&(a, b)) || best.contains_key(&(a, b)) {
            continue;
        }
        let together = cluster_of.get(&a).is_some_and(|cluster| cluster_of.get(&b) == Some(cluster));
        let household_bits = pair.weighed.household_bits;
        let mut evidence = pair.weighed.evidence;
        evidence.sort_by(|x, y| y.bits.abs().total_cmp(&x.bits.abs()).then(x.comparison.cmp(&y.comparison)));
        let automatic = together && pair.probability >= settings.threshold;
        let (probability, pattern) = (pair.probability, pair.pattern);
        let suggestion = Suggestion { a, b, probability, evidence, household_bits, pattern, automatic };
        best.insert((a, b), suggestion);
    }
    let mut suggestions: Vec<Suggestion> = best.into_values().collect();
    suggestions.sort_by(|x, y| y.probability.total_cmp(&x.probability).then((x.a, x.b).cmp(&(y.a, y.b))));
    Suggestions { suggestions, compared: matching.compared }
}
