//! Whose a job is.

/// Key or user, then client name. Only its owner sees a job; a foreign id looks like an unknown one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Owner {
    /// "key:..." or "uid:..." as the connection proved it; empty where nothing was proved.
    pub user: String,
    /// `client.name`; empty when none was given. A name is a reply box: any client of that user and name is
    /// handed the results of the jobs submitted under it.
    pub name: String,
}
