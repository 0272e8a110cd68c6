using System.Buffers.Binary;
using System.Security.Cryptography;
using Spectre.Console;
using VmShunt.Perf.Launch;

namespace VmShunt.Tests.Perf;

/// <summary>
/// The three programs as shell scripts with the same command line and console, so that the launcher is tested without
/// them. A file in the folder makes one of them fail.
/// </summary>
internal sealed class ScriptedMachine : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vmshunt-test-");

    internal ScriptedMachine()
    {
        Script("vmshunt-host", """
            echo $$ > "$here/host.pid"; echo "$*" > "$here/host.args"
            while [ $# -gt 0 ]; do [ "$1" = --disk ] && echo "$2" > "$here/disk"; shift; done
            [ -e "$here/host-fails" ] && { echo "the disk is on fire" >&2; exit 3; }
            echo ready disk=x vhost-user=y vfio-user=z; cat > /dev/null
            """);
        Script("vmshunt-hypervisor", """
            echo $$ > "$here/hypervisor.pid"; echo ready socket=x; cat > /dev/null
            """);
        Script("vmshunt-guest", GuestScript);
        WriteCore();
        // The guest's dependency file and the assemblies it names, for the boot partition.
        foreach (var file in Directory.EnumerateFiles(AppContext.BaseDirectory))
            if (file.EndsWith("vmshunt-guest.deps.json", StringComparison.Ordinal) || file.EndsWith(".dll", StringComparison.Ordinal))
                File.CreateSymbolicLink(this[Path.GetFileName(file)], file);
    }

    private const string GuestScript = """
        echo $$ > "$here/guest.pid"; echo "ready mode=emulating"; mode=emulating
        while read -r command rest; do
          echo "$command $rest" >> "$here/commands"
          disk=$(cat "$here/disk")
          case "$command" in
            info) bytes=$(wc -c < "$disk"); boot=direct; [ -e "$here/partitions" ] && boot=image
              parts=$(cat "$here/partitions" 2> /dev/null)
              echo "{\"command\":\"info\",\"ok\":true,\"mode\":\"$mode\",\"boot\":\"$boot\",\"memoryBytes\":67108864,\"disk\":{\"sectors\":$(( (bytes + 511) / 512 )),\"bytes\":$bytes,\"serial\":\"S\",\"readOnly\":false},\"partitions\":[$parts],\"bus\":true,\"dump\":null}" ;;
            hash) if [ -e "$here/wrong-hash-in-$mode" ]; then sum=0000; else sum=$(sha256sum < "$disk"); fi
              echo "{\"command\":\"hash\",\"ok\":true,\"sha256\":\"${sum%% *}\",\"bytes\":1,\"seconds\":0.1}" ;;
            mode) mode=$rest; [ -e "$here/mode-fails" ] && { echo '{"command":"mode","ok":false,"error":"no bus here"}'; continue; }
              [ -e "$here/mode-kills-host" ] && { kill -9 "$(cat "$here/host.pid")"; sleep 60; }
              echo "{\"command\":\"mode\",\"ok\":true,\"mode\":\"$mode\",\"switchMicroseconds\":12.5,\"inFlight\":64}" ;;
            load) [ "$rest" = stop ] || { echo '{"command":"load","ok":true}'; continue; }
              lost=0; [ -e "$here/load-loses" ] && lost=1
              echo "{\"command\":\"load\",\"ok\":true,\"requests\":100,\"completed\":100,\"failed\":0,\"lost\":$lost,\"repeated\":0,\"mismatched\":0,\"cancelled\":0,\"inFlightAtSwitch\":64,\"maxPauseMicroseconds\":9.5}" ;;
            trace) echo '{"command":"trace","ok":true,"operation":"read","sector":0,"mode":"emulating","stack":"emulating","decision":"PassDown","status":"Ok","error":null,"text":"","registerAccesses":3,"microseconds":9,"hops":[{"hop":"Entered","microseconds":0},{"hop":"Issued","microseconds":2},{"hop":"Noticed","microseconds":8},{"hop":"Completed","microseconds":9}]}' ;;
            bench) echo '{"command":"bench","ok":true,"requests":1000,"iops":2000,"megabytesPerSecond":8.2,"p50Microseconds":1,"p99Microseconds":2,"p999Microseconds":3,"maxMicroseconds":4,"kicksPerRequest":0.5,"callsPerRequest":0.25,"copiesPerRequest":0,"allocatedBytesPerRequest":0,"guestCpuMicrosecondsPerRequest":5}' ;;
            crash) echo '{"command":"crash","ok":true,"reason":"asked for","inFlight":32,"dump":{"bytes":4096,"road":"trap"}}'; exit 0 ;;
            dump) cp "$here/core" "${rest#export }"; sum=$(sha256sum < "$here/core")
              echo "{\"command\":\"dump\",\"ok\":true,\"bytes\":4216,\"sha256\":\"${sum%% *}\",\"memorySha256\":\"$(cat "$here/memory-sha256")\",\"valid\":true,\"reason\":\"asked for\"}" ;;
            quit) echo '{"command":"quit","ok":true}'; exit 0 ;;
          esac
        done
        """;

    internal string this[string name] => Path.Combine(_folder.FullName, name);

    internal string MemorySha256 { get; private set; } = "";

    internal StringWriter Output { get; } = new();

    /// <summary>The disk that VM-H was started with.</summary>
    internal string LaunchedDisk => File.ReadAllText(this["disk"]).Trim();

    internal void Misbehave(string how) => File.WriteAllText(this[how], "");

    internal Task<int> LaunchAsync(LaunchOptions options, string? memorySha256 = null, CancellationToken cancel = default)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(Output) });
        console.Profile.Width = 1000;
        return new Launcher(
            options with { ProgramFolder = _folder.FullName, Quick = true, MeasureTime = TimeSpan.FromMilliseconds(30) },
            console, console, _ => new FixedTraps(memorySha256 ?? MemorySha256), cancel).RunAsync();
    }

    /// <summary>Whether every script has exited.</summary>
    internal bool AllEnded() => new[] { "host", "hypervisor", "guest" }
        .Where(name => File.Exists(this[name + ".pid"]))
        .All(name => !Directory.Exists("/proc/" + File.ReadAllText(this[name + ".pid"]).Trim()));

    public void Dispose() => _folder.Delete(recursive: true);

    private void Script(string name, string body)
    {
        File.WriteAllText(this[name], $"#!/bin/bash\nhere='{_folder.FullName}'\n{body}\n");
        if (!OperatingSystem.IsLinux()) throw new PlatformNotSupportedException();
        File.SetUnixFileMode(this[name], UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    /// <summary>An ELF64 core of one page of memory.</summary>
    private void WriteCore()
    {
        var core = new byte[120 + 4096];
        "\u007fELF\u0002\u0001\u0001"u8.CopyTo(core);
        BinaryPrimitives.WriteUInt16LittleEndian(core.AsSpan(16), 4);
        BinaryPrimitives.WriteInt64LittleEndian(core.AsSpan(32), 64);
        BinaryPrimitives.WriteUInt16LittleEndian(core.AsSpan(54), 56);
        BinaryPrimitives.WriteUInt16LittleEndian(core.AsSpan(56), 1);
        BinaryPrimitives.WriteUInt32LittleEndian(core.AsSpan(64), 1);
        BinaryPrimitives.WriteInt64LittleEndian(core.AsSpan(64 + 8), 120);
        BinaryPrimitives.WriteInt64LittleEndian(core.AsSpan(64 + 32), 4096);
        new Random(1).NextBytes(core.AsSpan(120));
        File.WriteAllBytes(this["core"], core);
        MemorySha256 = Convert.ToHexStringLower(SHA256.HashData(core.AsSpan(120)));
        File.WriteAllText(this["memory-sha256"], MemorySha256);
    }

    private sealed class FixedTraps(string memorySha256) : ITrapCounter
    {
        private long _exits;

        public long Exits() => _exits += 3000;

        public string? CrashMemorySha256() => memorySha256;

        public long IssuedCommands() => _exits += 3000;

        public bool HasChannelAfterCrash() => false;

        public void Dispose()
        {
        }
    }
}
