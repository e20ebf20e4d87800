//! What a case works with: clients of the services, and what all requests carry.

use highball_channel::{Channel, MetadataMap, Request};

use super::testing::test_service_client::TestServiceClient;
use super::testing::unimplemented_service_client::UnimplementedServiceClient;

/// Goes through cases.
#[derive(Clone, Debug)]
pub struct Tester {
    pub(super) channel: Channel,
    pub(super) client: TestServiceClient,
    pub(super) unimplemented: UnimplementedServiceClient,
    metadata: MetadataMap,
}

impl Tester {
    /// A tester whose calls go through `channel`, each with this metadata.
    pub fn new(channel: Channel, metadata: MetadataMap) -> Self {
        Self {
            client: TestServiceClient::new(channel.clone()),
            unimplemented: UnimplementedServiceClient::new(channel.clone()),
            channel,
            metadata,
        }
    }

    /// A request with the metadata that all requests have.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if !self.metadata.is_empty() {
            *request.metadata_mut() = self.metadata.clone();
        }
        request
    }
}
