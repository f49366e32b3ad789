//! What surrounds a page: navigation, the site switch, who is logged in.

/// File names of the built assets, as `/assets/` serves them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assets {
    /// `app.<hash>.css`
    pub css: String,
    /// `app.<hash>.js`
    pub app_js: String,
    /// `charts.<hash>.js`
    pub charts_js: String,
}

/// A site that the user may look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteLink {
    /// Its number.
    pub id: i32,
    /// Its name.
    pub name: String,
}

/// How a message is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashKind {
    /// It worked.
    Done,
    /// It did not.
    Failed,
}

/// One message about what the user has just done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flash {
    /// How it is meant.
    pub kind: FlashKind,
    /// A sentence.
    pub text: String,
}

/// What a page for a logged-in user knows beside its report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shell {
    /// Built assets.
    pub assets: Assets,
    /// Who is logged in.
    pub user_email: String,
    /// Goes into every form.
    pub csrf_token: String,
    /// The sites the user may look at.
    pub sites: Vec<SiteLink>,
    /// The site of this page; `None` on pages about no site, such as the definitions.
    pub site: Option<SiteLink>,
    /// A message to show once.
    pub flash: Option<Flash>,
}

/// What a page for somebody who is not logged in knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Built assets.
    pub assets: Assets,
    /// Goes into the form.
    pub csrf_token: String,
}

/// Which entry of the navigation a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nav {
    Overview,
    Acquisition,
    Experience,
    Live,
    Segments,
    Predictions,
    People,
    Identities,
    Sources,
    Traits,
    Imports,
    Plan,
    Setup,
    Definitions,
    Nowhere,
}

/// A titled group of the navigation.
pub(crate) struct NavGroup {
    pub(crate) title: &'static str,
    pub(crate) links: &'static [NavLink],
}

pub(crate) struct NavLink {
    pub(crate) nav: Nav,
    pub(crate) path: &'static str,
    pub(crate) label: &'static str,
}

/// Only pages that exist.
pub(crate) const NAVIGATION: &[NavGroup] = &[
    NavGroup {
        title: "",
        links: &[
            NavLink { nav: Nav::Overview, path: "overview", label: "Overview" },
            NavLink { nav: Nav::Acquisition, path: "acquisition", label: "Acquisition" },
            NavLink { nav: Nav::Experience, path: "experience", label: "Experience" },
            NavLink { nav: Nav::Live, path: "live", label: "Live" },
        ],
    },
    NavGroup {
        title: "People",
        links: &[
            NavLink { nav: Nav::Segments, path: "segments", label: "Segments" },
            NavLink { nav: Nav::Predictions, path: "predictions", label: "Predictions" },
            NavLink { nav: Nav::People, path: "people", label: "People" },
            NavLink { nav: Nav::Traits, path: "traits", label: "Traits" },
            NavLink { nav: Nav::Identities, path: "identities", label: "Identities" },
        ],
    },
    NavGroup {
        title: "Set up",
        links: &[
            NavLink { nav: Nav::Sources, path: "sources", label: "Sources" },
            NavLink { nav: Nav::Imports, path: "imports", label: "Imports" },
            NavLink { nav: Nav::Plan, path: "plan", label: "Tracking plan" },
            NavLink { nav: Nav::Setup, path: "setup", label: "Set up" },
        ],
    },
];

impl Shell {
    pub(crate) fn groups(&self) -> &'static [NavGroup] {
        NAVIGATION
    }

    /// The page's first site, for links from pages that are about none.
    pub(crate) fn home(&self) -> String {
        match self.site.as_ref().or(self.sites.first()) {
            Some(site) => format!("/s/{}/overview", site.id),
            None => "/".to_owned(),
        }
    }

    pub(crate) fn other_sites(&self) -> Vec<&SiteLink> {
        self.sites.iter().filter(|link| Some(link.id) != self.site.as_ref().map(|site| site.id)).collect()
    }
}

impl Nav {
    /// Where the site switch leads: the same page of the other site.
    pub(crate) fn path(self) -> &'static str {
        NAVIGATION
            .iter()
            .flat_map(|group| group.links)
            .find(|link| link.nav == self)
            .map_or("overview", |link| link.path)
    }
}

impl Flash {
    pub(crate) fn failed(&self) -> bool {
        self.kind == FlashKind::Failed
    }
}
