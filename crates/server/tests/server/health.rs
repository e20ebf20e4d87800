//! The health service as clients see it: Check, List, Watch.

use highball_server::Server;
use highball_server::health::v1::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};
use highball_server::health::{HealthService, ServingStatus};
use tokio::time::Instant;

use crate::support::client::{Incoming, Reply, framed, to_path};
use crate::support::{Client, World, settle};
use ServingStatus::{NotServing, ServiceUnknown, Serving, Unknown};

/// A server with a health service, and a client of it.
struct Ward {
    world: World,
    client: Client,
    health: HealthService,
}

impl Ward {
    async fn new() -> Self {
        let health = HealthService::new();
        let world = World::with(|builder| builder.add_service(health.clone()));
        let client = world.client().await;
        Self {
            world,
            client,
            health,
        }
    }

    async fn check(&self, service: &str) -> Reply {
        let request = to_path("/grpc.health.v1.Health/Check");
        self.client.send_all(request, [asked(service)]).await
    }

    async fn list(&self) -> Reply {
        let request = to_path("/grpc.health.v1.Health/List");
        let nothing = framed(&HealthListRequest {});
        self.client.send_all(request, [nothing]).await
    }

    async fn watch(&self, service: &str) -> Incoming {
        let request = to_path("/grpc.health.v1.Health/Watch").body(()).unwrap();
        let mut call = self.client.open(request, false).await;
        call.send.send_data(asked(service), true).unwrap();
        call.incoming().await
    }

    fn server(&self) -> &Server {
        &self.world.server
    }

    async fn end(self) {
        drop((self.client, self.health));
        self.world.end().await;
    }
}

fn asked(service: &str) -> bytes::Bytes {
    framed(&HealthCheckRequest {
        service: service.to_owned(),
    })
}

fn status(reply: &Reply) -> ServingStatus {
    reply.message::<HealthCheckResponse>().status()
}

/// What a watch says next.
async fn next(watch: &mut Incoming) -> ServingStatus {
    settle().await;
    let message: HealthCheckResponse = watch.message().await;
    message.status()
}

/// Whether a watch has nothing to say.
async fn is_silent(watch: &mut Incoming) -> bool {
    let patience = std::time::Duration::from_secs(3600);
    let word = tokio::time::timeout(patience, watch.message::<HealthCheckResponse>());
    word.await.is_err()
}

#[tokio::test(start_paused = true)]
async fn check_says_how_a_service_does_and_does_not_find_others() {
    let ward = Ward::new().await;
    assert_eq!(status(&ward.check("").await), Serving);
    assert_eq!(ward.check("trains").await.status(), "5 unknown service");
    for says in [NotServing, Serving, Unknown] {
        ward.health.set("trains", says);
        assert_eq!(status(&ward.check("trains").await), says);
        assert_eq!(ward.health.status("trains"), Some(says));
    }
    ward.health.remove("trains");
    assert_eq!(ward.check("trains").await.status(), "5 unknown service");
    ward.end().await;
}

#[tokio::test(start_paused = true)]
async fn a90_list_names_every_service_up_to_a_hundred() {
    let ward = Ward::new().await;
    for number in 1..100 {
        ward.health.set(format!("service-{number}"), NotServing);
    }
    let all: HealthListResponse = ward.list().await.message();
    assert_eq!(all.statuses.len(), 100);
    assert_eq!(all.statuses[""].status(), Serving);
    assert_eq!(all.statuses["service-7"].status(), NotServing);
    ward.health.set("one more", Serving);
    assert_eq!(
        ward.list().await.status(),
        "8 server health list exceeds maximum capacity: 100"
    );
    ward.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_changes_and_nothing_else() {
    let ward = Ward::new().await;
    ward.health.set("trains", NotServing);
    let mut watch = ward.watch("trains").await;
    assert_eq!(next(&mut watch).await, NotServing);
    ward.health.set("trains", NotServing);
    ward.health.set("trams", Serving);
    assert!(is_silent(&mut watch).await);
    ward.health.set("trains", Serving);
    assert_eq!(next(&mut watch).await, Serving);
    drop(watch);
    ward.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_ends_the_watches_that_their_clients_do_not_end() {
    let ward = Ward::new().await;
    let request = to_path("/grpc.health.v1.Health/Watch");
    let watching = ward.client.send_all(request, [asked("")]);
    let stopping = async {
        settle().await;
        let start = Instant::now();
        ward.server().graceful_stop().await;
        start.elapsed().as_secs()
    };
    let (watched, took) = tokio::join!(watching, stopping);
    assert_eq!(watched.status(), "1 Stream has ended.");
    assert_eq!(watched.messages.len(), 1, "it has served all the while");
    assert_eq!((took, ward.health.watchers()), (1, 0));
    ward.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_an_unknown_service_stays_open_until_it_comes() {
    let ward = Ward::new().await;
    let mut watch = ward.watch("trains").await;
    assert_eq!(next(&mut watch).await, ServiceUnknown);
    assert!(is_silent(&mut watch).await);
    ward.health.set("trains", Serving);
    assert_eq!(next(&mut watch).await, Serving);
    ward.health.remove("trains");
    assert_eq!(next(&mut watch).await, ServiceUnknown);
    drop(watch);
    ward.end().await;
}

#[tokio::test(start_paused = true)]
async fn of_many_changes_at_once_a_watch_tells_the_last() {
    let ward = Ward::new().await;
    let mut watch = ward.watch("").await;
    assert_eq!(next(&mut watch).await, Serving);
    for _ in 0..1000 {
        ward.health.set("", NotServing);
        ward.health.set("", Serving);
    }
    assert!(is_silent(&mut watch).await, "it is as it was");
    for _ in 0..1000 {
        ward.health.set("", Serving);
        ward.health.set("", NotServing);
    }
    assert_eq!(next(&mut watch).await, NotServing);
    assert!(is_silent(&mut watch).await);
    drop(watch);
    ward.end().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_shut_down_nothing_serves_until_it_is_resumed() {
    let ward = Ward::new().await;
    ward.health.set("trains", Serving);
    let mut watch = ward.watch("trains").await;
    assert_eq!(next(&mut watch).await, Serving);
    ward.health.shut_down();
    assert_eq!(next(&mut watch).await, NotServing);
    ward.health.set("trains", Serving);
    ward.health.set("trams", Serving);
    ward.health.remove("trains");
    assert!(is_silent(&mut watch).await, "nothing is changed any more");
    assert_eq!(status(&ward.check("").await), NotServing);
    assert_eq!(ward.health.status("trams"), None);
    ward.health.resume();
    assert_eq!(next(&mut watch).await, Serving);
    ward.health.set("trains", NotServing);
    assert_eq!(next(&mut watch).await, NotServing);
    drop(watch);
    ward.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_health_service_has_no_other_methods() {
    let ward = Ward::new().await;
    let request = to_path("/grpc.health.v1.Health/Cure");
    let reply = ward.client.send_all(request, [asked("")]).await;
    let text = "12 unknown method Cure for service grpc.health.v1.Health";
    assert_eq!(reply.status(), text);
    ward.end().await;
}
