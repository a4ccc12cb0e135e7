//! Tests of `DjangoAuth` on a SQLite database with Django's tables and values that Django has made.

mod app;
#[cfg(feature = "redis")]
mod cache;
mod needed_state;
#[cfg(feature = "django-postgres")]
mod postgres;
mod rechecks;
mod session_lookup;
mod session_values;
mod site;
#[cfg(feature = "django-postgres")]
mod slow_database;
mod tables;
