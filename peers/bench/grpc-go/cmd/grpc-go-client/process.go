package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// usage is what a process has used so far: CPU seconds, to 10 ms, and resident memory.
type usage struct {
	cpu float64
	rss uint64
}

// used asks /proc; pid is a number or "self".
func used(pid string) (u usage) {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%s/stat", pid))
	// The second field is a name in parentheses that may hold spaces.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) > 12 {
		user, _ := strconv.ParseFloat(fields[11], 64)
		system, _ := strconv.ParseFloat(fields[12], 64)
		u.cpu = (user + system) / 100
	}
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%s/status", pid))
	if _, rest, found := strings.Cut(string(status), "VmRSS:"); found {
		u.rss, _ = strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
	}
	return u
}
