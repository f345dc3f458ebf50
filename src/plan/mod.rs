//! Jobs in plan order, shards, prices.
