pub mod database {
    pub mod catalog;
}
pub mod audit;
pub mod config;
pub mod dialect;
pub mod error;
pub mod guard;
pub mod limits;
pub mod secret;
