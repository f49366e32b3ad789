//! Short forms of given names. A name may stand in several lines: `alex` is Alexander or Alexandra.

use std::collections::HashMap;
use std::sync::OnceLock;

/// Names of one line stand for one another. Common in English, and some in German; two names that share letters enough
/// (Alexander, Alex) are found without being listed.
const GROUPS: &[&str] = &[
    "abigail abby gail",
    "alexander alex alec sandy sascha xander",
    "alexandra alex sandra sandy lexi",
    "alfred alf fred freddie",
    "andrew andy drew",
    "anna ann anne annie nancy",
    "anthony tony ant",
    "arthur art artie",
    "barbara barb babs barbie",
    "benjamin ben benny benji",
    "catherine katherine kathryn cathy kathy kate katie kat kitty kay",
    "charles charlie chuck chas",
    "charlotte charlie lottie",
    "christina christine chris tina chrissy",
    "christopher chris kit topher",
    "cynthia cindy",
    "daniel dan danny",
    "david dave davey",
    "deborah deb debbie",
    "donald don donny",
    "dorothy dot dottie dolly",
    "edward ed eddie ned ted teddy",
    "eleanor ellie nell nora ella",
    "elizabeth liz lizzie beth betty bess eliza libby elsie lisa lisbeth",
    "emily em emmy millie",
    "eugene gene",
    "florence flo florrie",
    "frances fran frankie fanny",
    "francis frank frankie",
    "frederick fred freddie rick fritz",
    "gabriel gabe",
    "george georgie jorge",
    "gerald gerry jerry",
    "gregory greg",
    "harold harry hal",
    "henry harry hank hal",
    "isabella isabel bella izzy",
    "jacob jake jack",
    "jacqueline jackie",
    "james jim jimmy jamie",
    "janet jan",
    "jeffrey jeff",
    "jennifer jen jenny",
    "jessica jess jessie",
    "johannes hans johann",
    "john jack johnny jon",
    "jonathan jon jonny nathan",
    "joseph joe joey jo josef sepp",
    "joshua josh",
    "judith judy",
    "kenneth ken kenny",
    "lawrence larry laurie",
    "leonard leo len lenny",
    "madeleine maddie",
    "margaret maggie meg peggy greta margie rita",
    "martha patty mattie",
    "mary molly polly mae mamie",
    "matthew matt",
    "matilda tilly mattie",
    "maximilian max",
    "michael mike mick mickey",
    "nathaniel nate nathan nat",
    "nicholas nick nicky klaus",
    "olivia liv livvy",
    "oliver ollie",
    "pamela pam",
    "patricia pat patty tricia trish",
    "patrick pat paddy rick",
    "peter pete",
    "philip phil pip",
    "rachel rae",
    "raymond ray",
    "rebecca becky becca",
    "richard rick rich dick ricky",
    "robert bob rob bobby robbie bert",
    "ronald ron ronnie",
    "rosemary rose rosie",
    "samantha sam",
    "samuel sam sammy",
    "sarah sally sadie",
    "sebastian seb bastian",
    "sophia sophie",
    "stephanie steph",
    "stephen steven steve",
    "susan sue susie suzanne",
    "theodore ted teddy theo",
    "theresa terry tess tessa",
    "thomas tom tommy",
    "timothy tim timmy",
    "valerie val",
    "victoria vicky tori",
    "vincent vince vinny",
    "virginia ginny",
    "walter walt wally",
    "william will bill billy liam willie willy",
    "zachary zach zac",
];

/// The groups of a name, each a bit.
fn groups(name: &str) -> u128 {
    static TABLE: OnceLock<HashMap<&str, u128>> = OnceLock::new();
    const { assert!(GROUPS.len() <= 128, "one bit for each group") };
    let table = TABLE.get_or_init(|| {
        let mut table: HashMap<&str, u128> = HashMap::new();
        for (group, names) in GROUPS.iter().enumerate() {
            for name in names.split(' ') {
                *table.entry(name).or_default() |= 1 << group;
            }
        }
        table
    });
    table.get(name).copied().unwrap_or_default()
}

/// Whether one of two given names may be a short form of the other, or both of a third.
pub(super) fn share_a_name(a: &str, b: &str) -> bool {
    let a = groups(a);
    a != 0 && a & groups(b) != 0
}
