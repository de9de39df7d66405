package cloudinit

import (
	"fmt"

	"cattle/profiles"
)

// A job is a cron entry as its units see it.
type job struct {
	App, Name, Service string
	Command            []string
	Times              []string // OnCalendar expressions
	State              bool     // it may have to wait for its data
}

func (v *view) addCron() error {
	count := map[string]int{}
	for i, c := range v.in.Profile.Cron {
		service, err := v.cronService(i, c)
		if err != nil {
			return err
		}
		count[service]++
		name := c.Name
		if name == "" {
			name = fmt.Sprintf("%s-%d", service, count[service])
		}
		if err := plain(fmt.Sprintf("cron.%d.name", i), name); err != nil {
			return err
		}
		v.jobs = append(v.jobs, job{App: v.App, Name: name, Service: service, Command: c.Command, Times: c.OnCalendar(), State: v.StateSpec != ""})
		v.Timers = append(v.Timers, profiles.TimerUnit(name))
	}
	return nil
}

func (v *view) cronService(i int, c profiles.Cron) (string, error) {
	if c.Service != "" {
		return c.Service, nil
	}
	if len(v.in.Stack.Services) != 1 {
		return "", fmt.Errorf("cron.%d.service: there are several services, name one", i)
	}
	return v.in.Stack.Services[0], nil
}

// cronUnits are a service and a timer for each entry.
func cronUnits(v *view) ([]File, error) {
	var files []File
	for _, j := range v.jobs {
		for _, kind := range []string{"service", "timer"} {
			content, err := fill("templates/etc/systemd/system/cattle-cron."+kind+".tmpl", j)
			if err != nil {
				return nil, err
			}
			files = append(files, File{Path: "/etc/systemd/system/cattle-cron-" + j.Name + "." + kind,
				Mode: 0o644, Owner: "root:root", Content: content})
		}
	}
	return files, nil
}
