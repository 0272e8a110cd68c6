using System.Net.Sockets;
using System.Runtime.InteropServices;
using VmShunt.EntryHook;
using VmShunt.Perf.House;
using VmShunt.Perf.Launch;

namespace VmShunt.Perf.Entries;

/// <summary>A copy of the programs whose methods count their entries, and the counts of those that run. Disposing it deletes the copy.</summary>
internal sealed class WovenPrograms : IDisposable
{
    private readonly DirectoryInfo _folder;
    private readonly Weaver _weaver = new();

    private WovenPrograms(DirectoryInfo folder) => _folder = folder;

    /// <summary>The folder of the executables.</summary>
    internal string ProgramFolder => Path.Combine(_folder.FullName, "bin");

    internal IReadOnlyList<CountedMethod> Methods => _weaver.Methods;

    /// <summary>Copies and weaves the programs of a folder. Processes that this one starts from now on count.</summary>
    internal static WovenPrograms Make(string programs)
    {
        var result = new WovenPrograms(Directory.CreateTempSubdirectory("vmshunt-"));
        try
        {
            Copy(programs, result.ProgramFolder);
            foreach (var assembly in HouseFiles.Assemblies(result.ProgramFolder))
                result._weaver.Weave(assembly);
            if (result.Methods.Count >= EntryCounter.MaxMethods) throw new LaunchException($"{result.Methods.Count} methods are more than the {EntryCounter.MaxMethods} that can be counted");
            Environment.SetEnvironmentVariable("VMSHUNT_ENTRIES", result._folder.FullName);
            Environment.SetEnvironmentVariable("DOTNET_STARTUP_HOOKS", typeof(EntryCounter).Assembly.Location);
            return result;
        }
        catch
        {
            result.Dispose();
            throw;
        }
    }

    /// <summary>The counts of all running processes, summed, by method number.</summary>
    internal long[] Read()
    {
        var sum = new long[Methods.Count];
        var counts = new int[EntryCounter.MaxMethods];
        foreach (var socket in Directory.EnumerateFiles(_folder.FullName))
        {
            using var peer = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                peer.Connect(new UnixDomainSocketEndPoint(socket));
            }
            catch (SocketException)
            {
                // The process has exited; its socket's file is left.
                continue;
            }
            using var stream = new NetworkStream(peer);
            stream.ReadExactly(MemoryMarshal.AsBytes(counts.AsSpan()));
            for (var i = 0; i < sum.Length; i++) sum[i] += counts[i];
        }
        return sum;
    }

    public void Dispose()
    {
        Environment.SetEnvironmentVariable("VMSHUNT_ENTRIES", null);
        Environment.SetEnvironmentVariable("DOTNET_STARTUP_HOOKS", null);
        _folder.Delete(recursive: true);
    }

    private static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.EnumerateFiles(from))
        {
            var copy = Path.Combine(to, Path.GetFileName(file));
            File.Copy(file, copy);
        }
    }
}
