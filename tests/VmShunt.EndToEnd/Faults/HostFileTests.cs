using System.Text.Json;
using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Faults;

/// <summary>Files of the host that a guest's command cannot use: the command fails, and the guest's kernel and its dump do not notice.</summary>
public sealed class HostFileTests(OwnDisk own) : IClassFixture<OwnDisk>, IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_command_fails_and_the_console_answers_the_next_one()
    {
        var disk = own.CopyTo(_folder);
        await using var machine = await RunningMachine.BootAsync(disk);
        File.WriteAllText(_folder["unreadable"], "x");
        await RunAsync("mkfifo", _folder["pipe"]);
        var before = await Perf.Disks.FileHash.OfAsync(disk, default);
        foreach (var (command, said) in new[]
        {
            ($"write --input {_folder["none"]}", $"{_folder["none"]} cannot be read"),
            ($"write --input {_folder.Path}", $"{_folder.Path} cannot be read: it is a folder"),
            ($"read --count 8 --output {_folder.Path}", $"{_folder.Path} cannot be written: it is a folder"),
            ($"read --count 8 --output {_folder["none"]}/x", "cannot be written"),
            ("read --count 8 --output /dev/full", "No space left on device"),
            ($"dump export {_folder.Path}", "there is no dump on the dump partition"),
        })
        {
            Assert.Contains(said, await machine.RefusalAsync(command), StringComparison.Ordinal);
        }
        // A pipe's size is not known; a writer would otherwise be waited for.
        var pipe = machine.RefusalAsync($"write --input {_folder["pipe"]}");
        await using (var writer = Programs.Start(Installed.Require("sh"), "-c", $"echo x >{_folder["pipe"]}")) await Programs.WaitForEndAsync(writer);
        Assert.Contains("it is no regular file", await pipe, StringComparison.Ordinal);
        Assert.Equal(JsonValueKind.Null, (await machine.AskAsync("info")).GetProperty("dump").ValueKind);
        Assert.Equal(before, await Perf.Disks.FileHash.OfAsync(disk, default));
    }

    [Fact]
    public async Task A_guest_without_standard_output_fails_its_command_and_writes_no_dump()
    {
        var disk = own.CopyTo(_folder);
        string ring = _folder["ring"], trap = _folder["trap"], socket = _folder["hypervisor"];
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", ring, "--vfio-user", trap);
        await using var hypervisor = await Programs.StartReadyAsync("vmshunt-hypervisor", "--socket", socket, "--device", $"disk0,vhost-user={ring},vfio-user={trap}");
        var before = await Perf.Disks.FileHash.OfAsync(disk, default);
        await using (var guest = Programs.Start(Installed.Require("sh"), "-c", "exec \"$0\" \"$@\" >&-", OwnPrograms.Find("vmshunt-guest"), "--hypervisor", socket, "--memory", "32M", "info"))
        {
            var ended = await Programs.WaitForEndAsync(guest);
            Assert.Equal(1, ended.ExitCode);
            Assert.Equal("vmshunt-guest: standard output cannot be written: Bad file descriptor", Assert.Single(ended.Errors));
        }
        Assert.Equal(before, await Perf.Disks.FileHash.OfAsync(disk, default));
    }

    [Fact]
    public async Task A_dump_that_was_not_exported_is_kept_unless_it_is_to_be_overwritten()
    {
        var disk = own.CopyTo(_folder);
        await using var machine = await RunningMachine.BootAsync(disk);
        await machine.AskAsync("crash --in-flight 1");
        await machine.GuestEndsAsync();
        await machine.StartGuestAsync();
        var first = await machine.AskAsync("dump info");
        Assert.False(first.GetProperty("saved").GetBoolean());
        var guest = machine.Guest;
        Assert.Contains("the dump of an earlier crash was not exported yet", await machine.RefusalAsync("crash --in-flight 4"), StringComparison.Ordinal);
        Assert.Equal(1, (await Programs.WaitForEndAsync(guest)).ExitCode);
        await machine.StartGuestAsync();
        Assert.Equal(first.ToString(), (await machine.AskAsync("dump info")).ToString());
        await machine.AskAsync("crash --in-flight 3 --overwrite");
        await machine.GuestEndsAsync();
        await machine.StartGuestAsync();
        Assert.NotEqual(first.ToString(), (await machine.AskAsync("dump info")).ToString());
        await machine.AskAsync($"dump export {_folder["core"]}");
        await machine.AskAsync("crash --in-flight 2");
        await machine.GuestEndsAsync();
    }

    private static async Task RunAsync(string program, params string[] arguments)
    {
        await using var child = Programs.Start(Installed.Require(program), arguments);
        Assert.Equal(0, (await Programs.WaitForEndAsync(child)).ExitCode);
    }
}
