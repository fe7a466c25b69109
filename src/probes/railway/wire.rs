//! How Railway wraps its answers: one type for each question's `data`, with nothing in it that is not read.

use serde::Deserialize;

use super::facts::{AppLine, HttpLine, Named, Service};
use super::variables::Variables;

/// `token.graphql`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenData {
    pub project_token: Standing,
}

#[derive(Debug, Deserialize)]
pub(super) struct Standing {
    pub project: Named,
    pub environment: Named,
}

/// `project.graphql`
#[derive(Debug, Deserialize)]
pub(super) struct ProjectData {
    pub project: Project,
}

#[derive(Debug, Deserialize)]
pub(super) struct Project {
    pub id: String,
    pub name: String,
    pub environments: Connection<Named>,
}

/// `services.graphql`
#[derive(Debug, Deserialize)]
pub(super) struct ServicesData {
    pub environment: Environment,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Environment {
    pub service_instances: Connection<Service>,
}

/// `variables.graphql`
#[derive(Debug, Deserialize)]
pub(super) struct VariablesData {
    pub variables: Variables,
}

/// `usage.graphql`
#[derive(Debug, Deserialize)]
pub(super) struct UsageData {
    pub metrics: Vec<Metric>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Metric {
    pub measurement: String,
    pub tags: Tags,
    pub values: Vec<Sample>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tags {
    pub deployment_instance_id: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Sample {
    pub value: f64,
}

/// `http_lines.graphql`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HttpLinesData {
    pub http_logs: Vec<HttpLine>,
}

/// `app_lines.graphql`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AppLinesData {
    pub deployment_logs: Vec<AppLine>,
}

/// A list as Railway wraps it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Connection<T> {
    edges: Vec<Edge<T>>,
    page_info: Option<PageInfo>,
}

#[derive(Debug, Deserialize)]
struct Edge<T> {
    node: T,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

impl<T> Connection<T> {
    /// Where the next page begins, if there is one.
    pub fn next(&self) -> Option<String> {
        self.page_info.as_ref().filter(|info| info.has_next_page)?.end_cursor.clone()
    }

    /// What is on this page.
    pub fn nodes(self) -> impl Iterator<Item = T> {
        self.edges.into_iter().map(|edge| edge.node)
    }
}
