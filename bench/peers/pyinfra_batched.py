"""Do the work with as few operations of pyinfra as an experienced user would write."""

from pyinfra.operations import files, server

from bench.peers import site

want = site.work()
files.put(name="Modules at boot", src=str(site.FOLDER / "modules.conf"), dest=want["modules_file"], mode="644")
files.put(name="Keys at boot", src=str(site.FOLDER / "sysctl.conf"), dest=want["sysctl_file"], mode="644")
server.modprobe(name="Modules now", module=want["modules"])
server.shell(
    name="Keys now, and read back",
    commands=[f"sysctl -q -p {want['sysctl_file']} && sysctl {' '.join(want['sysctl'])}"],
)
