//! In which directories a controller keeps the limits of this process: `/proc/self/cgroup` names a
//! path in a hierarchy (`cgroups(7)`), mountinfo says where that hierarchy is seen, and the two can
//! disagree in ways that each have a name here. An unknown place is an answer, with its reason.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use procfs::{FromBufRead, ProcessCGroups};

use crate::mounts::{self, Hierarchy, Kind, Mount};
use crate::shown::{self, Warnings};
use crate::source::{self, ReadError, Source};

const CGROUP: &str = "/proc/self/cgroup";

/// The kernel prints a cgroup's path into one buffer of this size (`proc_cgroup_show`).
const PATH_MAX: usize = 4096;

/// Which files hold the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// The cgroup of this process in one hierarchy, as a directory, and how far its ancestors are seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) version: Version,
    leaf: PathBuf,
    /// How many directories there are from the leaf up to the mount point, at least 1.
    depth: usize,
}

impl Place {
    /// The directory of the cgroup that the process is in.
    pub(crate) fn leaf(&self) -> &Path {
        &self.leaf
    }

    /// From the leaf up to the root of the mount. Beyond that nothing can be seen.
    pub(crate) fn dirs(&self) -> impl Iterator<Item = &Path> {
        self.leaf.ancestors().take(self.depth)
    }
}

/// Why the directories of a controller are not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// `/proc/self/cgroup` cannot be read.
    NoCgroupFile,
    /// `/proc/self/mountinfo` cannot be read.
    NoMountinfo,
    /// `/proc/self/cgroup` has neither a line for the controller nor one for v2.
    NotListed,
    /// v2 is not mounted.
    NoV2Mount,
    /// The v1 hierarchy of this controller is not mounted.
    NoV1Mount { controller: &'static str },
    /// The process is in a cgroup outside its cgroup namespace (`cgroup_namespaces(7)`).
    PathOutside { path: PathBuf },
    /// The mount shows a directory above the namespace: where in it we are cannot be told.
    RootOutside { point: PathBuf, root: PathBuf },
    /// The mount shows another part of the hierarchy than that of the process.
    OtherPart { point: PathBuf, root: PathBuf, path: PathBuf },
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = shown::path;
        match self {
            Unknown::NoCgroupFile => write!(f, "{CGROUP} cannot be read"),
            Unknown::NoMountinfo => f.write_str("/proc/self/mountinfo cannot be read"),
            Unknown::NotListed => write!(f, "{CGROUP} lists no hierarchy for it"),
            Unknown::NoV2Mount => f.write_str("no cgroup2 mount in /proc/self/mountinfo"),
            Unknown::NoV1Mount { controller } => write!(
                f,
                "{CGROUP} lists a v1 hierarchy with {controller}, and no such mount is in \
                 /proc/self/mountinfo"
            ),
            Unknown::PathOutside { path } => {
                write!(f, "the cgroup path {} is outside the cgroup namespace", show(path))
            }
            Unknown::RootOutside { point, root } => write!(
                f,
                "the mount at {} shows {}, which is outside the cgroup namespace",
                show(point),
                show(root)
            ),
            Unknown::OtherPart { point, root, path } => write!(
                f,
                "the mount at {} shows {}, which does not contain the cgroup path {}",
                show(point),
                show(root),
                show(path)
            ),
        }
    }
}

/// A line of `/proc/self/cgroup`.
struct Membership {
    /// Empty for v2.
    controllers: Vec<String>,
    path: PathBuf,
}

/// The cgroups that the process is in, and the mounts that may show them.
pub(crate) struct Cgroups {
    memberships: Option<Vec<Membership>>,
    mounts: Option<Vec<Mount>>,
}

impl Cgroups {
    pub(crate) fn read(source: &mut Source, warnings: &mut Warnings) -> Cgroups {
        Cgroups {
            memberships: memberships(source, warnings),
            mounts: mounts::read(source, warnings),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        mounts::kind(self.mounts.as_deref().unwrap_or_default())
    }

    /// Finds the directories of `controller`.
    ///
    /// A controller belongs to v1 where a v1 hierarchy lists it, and to v2 otherwise: the kernel
    /// binds each to one hierarchy at a time.
    pub(crate) fn place(
        &self,
        controller: &'static str,
        source: &mut Source,
    ) -> Result<Place, Unknown> {
        let memberships = self.memberships.as_ref().ok_or(Unknown::NoCgroupFile)?;
        let mounts = self.mounts.as_ref().ok_or(Unknown::NoMountinfo)?;
        // Tokens are compared whole: `cpu` is neither `cpuset` nor `cpuacct`.
        let in_v1 = memberships.iter().find(|m| m.controllers.iter().any(|c| c == controller));
        let in_v2 = memberships.iter().find(|m| m.controllers.is_empty());

        if let Some(membership) = in_v1 {
            let candidates = mounts.iter().filter(|mount| mount.is_v1_of(controller));
            if let Some(place) = locate(Version::V1, &membership.path, candidates) {
                return place;
            }
        }
        let v2_mounts = mounts.iter().filter(|mount| mount.hierarchy == Hierarchy::V2);
        match (in_v1, in_v2) {
            (None, None) => Err(Unknown::NotListed),
            (None, Some(membership)) => {
                locate(Version::V2, &membership.path, v2_mounts).unwrap_or(Err(Unknown::NoV2Mount))
            }
            (Some(_), None) => Err(Unknown::NoV1Mount { controller }),
            (Some(_), Some(membership)) => {
                let offering = v2_mounts.filter(|mount| offers(mount, controller, source));
                locate(Version::V2, &membership.path, offering)
                    .unwrap_or(Err(Unknown::NoV1Mount { controller }))
            }
        }
    }
}

/// Whether a v2 mount has the controller, by the `cgroup.controllers` of its topmost directory.
fn offers(mount: &Mount, controller: &str, source: &mut Source) -> bool {
    source.read(&mount.point.join("cgroup.controllers"), source::SMALL).is_ok_and(|content| {
        content.split(u8::is_ascii_whitespace).any(|token| token == controller.as_bytes())
    })
}

/// Finds the directory of `path` among mounts of its hierarchy; `None` where there is no mount.
///
/// Of several mounts that show it, the one with the shortest root: it shows the most ancestors,
/// and any of them may hold the smallest limit.
fn locate<'a>(
    version: Version,
    path: &Path,
    mounts: impl Iterator<Item = &'a Mount>,
) -> Option<Result<Place, Unknown>> {
    let mut best: Option<(usize, &Mount, &Path)> = None;
    let mut reason: Option<Unknown> = None;
    for mount in mounts {
        if leaves(path) {
            reason = Some(Unknown::PathOutside { path: path.to_path_buf() });
        } else if leaves(&mount.root) {
            let (point, root) = (mount.point.clone(), mount.root.clone());
            reason.get_or_insert(Unknown::RootOutside { point, root });
        } else if let Ok(below) = path.strip_prefix(&mount.root) {
            let length = mount.root.components().count();
            if best.is_none_or(|(shortest, ..)| length < shortest) {
                best = Some((length, mount, below));
            }
        } else {
            let (point, root) = (mount.point.clone(), mount.root.clone());
            reason.get_or_insert(Unknown::OtherPart { point, root, path: path.to_path_buf() });
        }
    }
    let Some((_, mount, below)) = best else {
        return reason.map(Err);
    };
    // Joining an empty path would leave a slash at the end, which shows in every file name.
    let mut leaf = mount.point.clone();
    leaf.extend(below);
    let depth = below.components().count().saturating_add(1);
    Some(Ok(Place { version, leaf, depth }))
}

/// Whether a path leads out of the cgroup namespace: the kernel prints `/..` for each level above.
fn leaves(path: &Path) -> bool {
    path.components().any(|component| component == Component::ParentDir)
}

fn memberships(source: &mut Source, warnings: &mut Warnings) -> Option<Vec<Membership>> {
    let content = match source.read(Path::new(CGROUP), source::SMALL) {
        Ok(content) => content,
        Err(ReadError::Missing) => return None,
        Err(error) => {
            warnings.push(format!("{CGROUP}: {error}"));
            return None;
        }
    };
    let mut memberships = Vec::new();
    for line in content.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
        match membership(line) {
            Some(membership) => memberships.push(membership),
            None => warnings.push(format!("{CGROUP}: malformed line {}", shown::quoted(line))),
        }
    }
    Some(memberships)
}

/// Parses `hierarchy:controllers:path`. The path is not escaped and may hold colons, spaces and
/// bytes that are not UTF-8; procfs splits on the first two colons only, and is given ASCII.
fn membership(line: &[u8]) -> Option<Membership> {
    let text = mounts::escape(line, true);
    let parsed = ProcessCGroups::from_buf_read(text.as_bytes()).ok()?.0.into_iter().next()?;
    let path = mounts::unescape(parsed.pathname.as_ref());
    // A v1 line has controllers or a name, the v2 line has the number 0 and neither.
    let is_v2 = parsed.hierarchy == 0;
    if !path.is_absolute()
        || path.as_os_str().len() > PATH_MAX
        || is_v2 != parsed.controllers.is_empty()
    {
        return None;
    }
    Some(Membership { controllers: parsed.controllers, path })
}
