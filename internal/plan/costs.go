package plan

// Every figure here was measured as docs/capacity.md says, on two shared cores;
// the command beside it measures it anew.

// cost is the CPU that one thing takes of each kind of process, in µs.
type cost struct {
	node, proxy, redis, database float64
	command                      string
}

// What the crowd's requests cost; nginx without TLS.
func refusal() cost { return cost{node: 6.1, proxy: 11.2, command: "make bench ROW=E1,D5"} }

func poll() cost { return cost{node: 5.5, command: "make bench ROW=E5"} }

// order is one in a rush that two nodes share; alone it is a little less.
func order() cost { return cost{node: 56, redis: 10, database: 19, command: "make bench ROW=D3"} }

const (
	used      = 0.6     // of a core: room for what nobody foresaw
	orderPace = 20_000  // orders a second of one sale: under half of what make bench ROW=D2 shows
	askPace   = 200_000 // asks a second of one Redis master, two thirds of what make bench ROW=D1 shows
	handshake = 200.0   // µs; its arithmetic alone: openssl speed ecdsap256 ecdhx25519
	cdnPlaces = 300.0   // of a CDN, each of which asks once a second
	pollEvery = 1.1     // seconds on average: web/buyer/poll.js, behind a cache of a second

	placesPerNode      = 16_000 // connections: web.ConnsMax
	connectionsPerNode = 19     // to PostgreSQL: docs/operations.md

	requestBytes = 440 // curl -w '%{size_request} %{size_upload} %{size_header} %{size_download}'
	refusalBytes = 375
	stateBytes   = 397
	pageBytes    = 15_900 // page, style and script, compressed
)

// sources are the commands behind the figures.
func sources() Section {
	r, p, o := refusal(), poll(), order()
	return Section{"Measured (docs/capacity.md); measure yours", []Part{
		{"a refusal", micros(r.node) + " of a node, " + micros(r.proxy) + " of nginx", r.command},
		{"a poll of state.json", micros(p.node) + " of a node", p.command},
		{"an order, in a rush that nodes share", micros(o.node) + " of a node, " + micros(o.redis) + " of Redis, " + micros(o.database) + " of PostgreSQL", o.command},
		{"orders of one sale", perSecond(orderPace) + ", under half of what PostgreSQL decides", "make bench ROW=D2"},
		{"asks of one Redis master", perSecond(askPace) + ", two thirds of what it answers", "make bench ROW=D1"},
		{"a TLS handshake", micros(handshake) + " of a balancer", "openssl speed ecdsap256 ecdhx25519"},
	}}
}
