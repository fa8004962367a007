//! Where the control socket is: for the server, which opens it, and for the commands that talk to
//! it. Both ask here, so that they cannot disagree.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::raw::{Setting, read_from_file};
use super::{Config, file, typed, variable};

/// A control socket that was asked for, or asked not to be. Where nobody says anything there is one
/// in a default place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// At this path, or it is an error.
    Path(PathBuf),
    /// There is none.
    None,
}

impl FromStr for Control {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "" => Err("the path is empty: write /run/headcount.sock, or none".to_owned()),
            path => Ok(Self::Path(PathBuf::from(path))),
        }
    }
}

impl Setting for Control {
    const WANTED: &'static str = "a path such as /run/headcount.sock, or none";
}

read_from_file!(Control);

/// The file's name in the default places.
const NAME: &str = "headcount.sock";

/// The places that are tried in turn where no path was named.
pub fn default_places() -> Vec<PathBuf> {
    let own = variable("XDG_RUNTIME_DIR").map(|directory| Path::new(&directory).join(NAME));
    [Path::new("/run").join(NAME)].into_iter().chain(own).collect()
}

/// Where a client looks: the flag, the variable, the configuration file, the default places. Empty
/// where headcount was told to have none.
///
/// A configuration that is broken is passed over: `headcount stop` has to work all the more.
pub fn places_of_client(flag: Option<Control>) -> Vec<PathBuf> {
    let named = flag.or_else(|| typed("HEADCOUNT_CONTROL").ok().flatten()).or_else(|| {
        let (_, layer) = file::load(Config::named_file(None).as_deref()).ok()??;
        layer.control
    });
    match named {
        Some(Control::Path(path)) => vec![path],
        Some(Control::None) => Vec::new(),
        None => default_places(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_or_none() {
        assert_eq!("none".parse(), Ok(Control::None));
        assert_eq!("/run/x.sock".parse(), Ok(Control::Path("/run/x.sock".into())));
        assert_eq!("./none".parse(), Ok(Control::Path("./none".into())));
        assert!("".parse::<Control>().is_err());
    }

    #[test]
    fn run_comes_first() {
        let places = default_places();
        assert_eq!(places.first().map(PathBuf::as_path), Some(Path::new("/run/headcount.sock")));
    }
}
