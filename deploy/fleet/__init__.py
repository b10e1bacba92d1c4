"""One machine that stands in for many: a cluster of nats-servers, a balancer, any number of gateways and collectors."""
