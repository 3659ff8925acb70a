package main

// peer is a server that takes part.
type peer struct {
	name, label string
	colour      string // in plots
	revision    int    // of Engine.IO
	fleet       bool   // it can share a Redis with others of its kind
}

func (p peer) ours() bool { return p.name == "antchat" }

var peers = []peer{
	{name: "node", label: "Node socket.io", colour: "#7f7f7f", revision: 4, fleet: true},
	{name: "zishang520", label: "zishang520", colour: "#8c564b", revision: 4},
	{name: "googollee", label: "googollee", colour: "#9467bd", revision: 3},
	{name: "antchat", label: "Antchat", colour: "#1f77b4", revision: 4, fleet: true},
	{name: "bare", label: "bare writes", colour: "#c7c7c7", revision: 4},
}

func peerNames() []string {
	names := make([]string, len(peers))
	for i, p := range peers {
		names[i] = p.name
	}
	return names
}
