using System.Text;
using System.Text.RegularExpressions;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Lifecycle.Processes;

namespace VmShunt.Perf.Lifecycle.Guests;

/// <summary>
/// The guest's whole user space: busybox, mke2fs with its libraries, the modules, and an init with a shell on the
/// serial line. A cpio archive of the kernel's "newc" form (Documentation/driver-api/early-userspace/buffer-format).
/// </summary>
internal static partial class Initramfs
{
    private const uint Folder = 0x41ed, Executable = 0x81ed, Readable = 0x81a4;

    private static readonly Lazy<string> s_file = new(static () =>
    {
        var folder = new WorkFolder();
        AppDomain.CurrentDomain.ProcessExit += (_, _) => folder.Dispose();
        var file = folder["initramfs"];
        Write(file, []);
        return file;
    });

    /// <summary>The archive, made once per run.</summary>
    internal static string File => s_file.Value;

    /// <summary>Makes an archive with more programs.</summary>
    /// <param name="path">The archive.</param>
    /// <param name="programs">As (name, content).</param>
    internal static void Write(string path, IEnumerable<(string Name, byte[] Content)> programs)
    {
        using var file = System.IO.File.Create(path);
        var inode = 1u;
        var more = programs.ToList();
        string[] folders = ["bin", "lib", "lib64", "modules", "proc", "sys", "dev", "mnt", "usr", "sbin"];
        foreach (var folder in folders.Union(more.Select(static program => Path.GetDirectoryName(program.Name)!))) Add(file, ref inode, folder, Folder, []);
        Add(file, ref inode, "bin/busybox", Executable, System.IO.File.ReadAllBytes(Installed.Require("busybox")));
        AddWithLibraries(file, ref inode, "sbin/mke2fs", Installed.Require("mke2fs"));
        foreach (var (name, module) in GuestKernel.Modules()) Add(file, ref inode, $"modules/{name}.ko", Executable, System.IO.File.ReadAllBytes(module));
        foreach (var (name, content) in more) Add(file, ref inode, name, Executable, content);
        Add(file, ref inode, "seed", Readable, LoadImage.Seed);
        foreach (var (name, script) in GuestScripts.All) Add(file, ref inode, "sbin/" + name, Executable, Encoding.ASCII.GetBytes(script.ReplaceLineEndings("\n")));
        Add(file, ref inode, "init", Executable, Encoding.ASCII.GetBytes(Init()));
        Add(file, ref inode, "TRAILER!!!", 0, []);
    }

    // The kernel passes arguments that it does not know as variables: novirtio=1 leaves the virtio modules for later, and dump=DISK
    // writes the memory of a kernel that crashed.
    // A busy guest loses characters of its serial line: each command carries its length, and runs only if it is complete.
    private static string Init() =>
        $$"""
        #!/bin/busybox sh
        /bin/busybox --install -s /bin
        export PATH=/bin:/sbin
        mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
        for name in {{string.Join(' ', GuestKernel.Modules().Select(static m => m.Name))}}; do
            case $name in virtio*) [ -z "$novirtio" ] || continue;; esac
            insmod /modules/$name.ko
        done
        if [ -n "$dump" ]; then
            while [ ! -b /dev/$dump ]; do sleep 0.1; done
            echo {{QemuGuest.Dumping}} $(ls /sys/block)
            dd if=/proc/vmcore of=/dev/$dump bs=1M 2>/dev/null && sync && echo {{QemuGuest.Dumped}}
            while true; do sleep 1; done
        fi
        stty -echo -icanon < /dev/ttyS0
        echo {{QemuGuest.Ready}}
        while read -r line; do
            command=${line#*:}
            if [ "${line%%:*}" = ${#command} ]; then eval "$command"; else echo {{QemuGuest.Garbled}}; fi
        done < /dev/ttyS0

        """.ReplaceLineEndings("\n");

    private static void AddWithLibraries(Stream file, ref uint inode, string name, string program)
    {
        Add(file, ref inode, name, Executable, System.IO.File.ReadAllBytes(program));
        using var ldd = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("ldd", program) { RedirectStandardOutput = true })!;
        var libraries = LibraryPath().Matches(ldd.StandardOutput.ReadToEnd()).Select(static match => match.Value);
        foreach (var library in libraries.Distinct())
            Add(file, ref inode, (library.Contains("ld-linux", StringComparison.Ordinal) ? "lib64/" : "lib/") + Path.GetFileName(library), Executable, System.IO.File.ReadAllBytes(library));
    }

    private static void Add(Stream file, ref uint inode, string name, uint mode, byte[] content)
    {
        uint[] fields = [inode++, mode, 0, 0, 1, 0, (uint)content.Length, 0, 0, 0, 0, (uint)name.Length + 1, 0];
        file.Write(Encoding.ASCII.GetBytes("070701" + string.Concat(fields.Select(static field => field.ToString("x8"))) + name + '\0'));
        Pad(file);
        file.Write(content);
        Pad(file);
    }

    private static void Pad(Stream file)
    {
        while (file.Position % 4 != 0) file.WriteByte(0);
    }

    [GeneratedRegex(@"/\S+")]
    private static partial Regex LibraryPath();
}
