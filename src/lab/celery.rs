//! Asks the workers over the broker whether they are there: Celery's as `celery inspect ping` does, without starting Python,
//! RQ's and Huey's by their keys and connections.

use std::time::Duration;

use redis::AsyncCommands;

/// A connection to a Redis on loopback.
pub(crate) async fn connect(port: u16) -> Result<redis::aio::MultiplexedConnection, String> {
    open(&format!("redis://127.0.0.1:{port}/0")).await
}

async fn open(url: &str) -> Result<redis::aio::MultiplexedConnection, String> {
    let client = redis::Client::open(url).map_err(|e| e.to_string())?;
    let limits = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(2)))
        .set_response_timeout(Some(Duration::from_secs(4)));
    client.get_multiplexed_async_connection_with_config(&limits).await.map_err(|e| e.to_string())
}

/// One worker of this library must be there, on the database that its broker's address names.
pub(crate) async fn answers(library: &str, url: &str) -> Result<(), String> {
    let said = |e: redis::RedisError| e.to_string();
    match library {
        "rq" => {
            let mut broker = open(url).await?;
            let workers: usize = broker.scard("rq:workers").await.map_err(said)?;
            if workers > 0 { Ok(()) } else { Err("no worker is registered at the broker".to_owned()) }
        }
        "huey" => {
            let mut broker = open(url).await?;
            let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut broker).await.map_err(said)?;
            let waits = |line: &str| line.contains("cmd=brpop") || line.contains("cmd=bzpopmin");
            if clients.lines().any(waits) { Ok(()) } else { Err("no consumer waits at the broker".to_owned()) }
        }
        _ => ping(url).await,
    }
}

/// One worker must answer in time.
///
/// Kombu's Redis transport: control messages are published on `/<db>.celery.pidbox`; the reply goes to the list that
/// `_kombu.binding.reply.celery.pidbox` names for our routing key.
async fn ping(url: &str) -> Result<(), String> {
    const BINDINGS: &str = "_kombu.binding.reply.celery.pidbox";
    let mut broker = open(url).await?;
    let channel = format!("/{}.celery.pidbox", url.rsplit('/').next().unwrap_or("0"));
    let ticket = format!("{:032x}", rand::random::<u128>());
    let queue = format!("{ticket}.reply.celery.pidbox");
    let said = |e: redis::RedisError| e.to_string();
    // What stands between a binding's parts may be set; the worker's own begins with it twice.
    let own: Vec<String> = broker.smembers("_kombu.binding.celery.pidbox").await.map_err(said)?;
    let twice = own.iter().find_map(|member| Some(&member[..member.find(char::is_alphanumeric)?]));
    let between = twice.filter(|twice| !twice.is_empty()).map_or("\u{6}\u{16}", |twice| &twice[..twice.len() / 2]);
    let binding = format!("{ticket}{between}{between}{queue}");
    let question = serde_json::json!({
        "method": "ping", "arguments": {}, "destination": null, "pattern": null, "matcher": null, "ticket": ticket,
        "reply_to": {"exchange": "reply.celery.pidbox", "routing_key": ticket},
    });
    let envelope = serde_json::json!({
        "body": question.to_string(), "content-encoding": "utf-8", "content-type": "application/json", "headers": {},
        "properties": {
            "delivery_mode": 1, "priority": 0, "delivery_tag": ticket,
            "delivery_info": {"exchange": "celery.pidbox", "routing_key": ""},
        },
    });
    let _: usize = broker.sadd(BINDINGS, &binding).await.map_err(said)?;
    let answer = async {
        let heard: usize = broker.publish(channel, envelope.to_string()).await.map_err(said)?;
        if heard == 0 {
            // One that takes no questions waits for tasks all the same.
            let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut broker).await.map_err(said)?;
            let database = format!(" db={} ", url.rsplit('/').next().unwrap_or("0"));
            let waits = clients.lines().any(|line| line.contains("cmd=brpop") && line.contains(&database));
            return if waits { Ok(()) } else { Err("no worker listens at the broker".to_owned()) };
        }
        let reply: Option<(String, String)> = broker.blpop(&queue, 2.0).await.map_err(said)?;
        reply.map(|_| ()).ok_or_else(|| "a worker listens but does not answer".to_owned())
    }
    .await;
    let _: usize = broker.srem(BINDINGS, &binding).await.map_err(said)?;
    let _: usize = broker.del(&queue).await.map_err(said)?;
    answer
}

/// Forgets whatever the workers left, under any name or prefix, so that it is not worked off, or taken for the next
/// library's, in the next load test. Kombu's own bindings stay where the shop runs on, which would miss them.
pub(crate) async fn purge(broker_port: u16, shop_runs_on: bool) -> Result<(), String> {
    let mut broker = connect(broker_port).await?;
    let mut keys: Vec<String> = broker.keys("*").await.map_err(|e| e.to_string())?;
    keys.retain(|key| !shop_runs_on || !key.contains("_kombu."));
    if keys.is_empty() {
        return Ok(());
    }
    broker.del::<_, usize>(&keys).await.map(|_| ()).map_err(|e| e.to_string())
}

/// Empties a cache.
pub(crate) async fn empty(cache_port: u16) -> Result<(), String> {
    let mut cache = connect(cache_port).await?;
    redis::cmd("FLUSHALL").query_async::<()>(&mut cache).await.map_err(|e| e.to_string())
}
