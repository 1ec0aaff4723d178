package admin

import "net/http"

// livez answers as long as the process does.
func (d *Door) livez(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, "text/plain; charset=utf-8", []byte("ok\n"))
}

// readyz tells a balancer whether to send buyers here.
func (d *Door) readyz(w http.ResponseWriter, _ *http.Request) {
	d.sayHealth(w)
}

// healthz is the same for people and for tools that ask by that name.
func (d *Door) healthz(w http.ResponseWriter, _ *http.Request) {
	d.sayHealth(w)
}

func (d *Door) sayHealth(w http.ResponseWriter) {
	health := d.Health()
	if health.Reasons == nil {
		health.Reasons = []string{}
	}
	status := http.StatusOK
	if !health.Ready {
		status = http.StatusServiceUnavailable
	}
	d.say(w, status, health)
}
