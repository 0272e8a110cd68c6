namespace VmShunt.EndToEnd.Processes;

/// <summary>
/// One machine for all tests of a class that change nothing which the next test could not bear: a test finds it in emulating
/// mode with the default shunt and without a load. After a test that failed the next one gets a new machine.
/// </summary>
public sealed class SharedMachine : IAsyncLifetime, IDisposable
{
    private const string DefaultShunt = "shunt --mode-source told --shunt-position below-class --shunt-policy auto";

    private readonly TestFolder _folder = new();
    private RunningMachine? _machine;

    /// <summary>The file behind the machine's disk.</summary>
    internal string Disk => _folder["disk.img"];

    public Task InitializeAsync() => Task.CompletedTask;

    /// <summary>Runs a test on the machine.</summary>
    internal async Task UseAsync(Func<RunningMachine, Task> test)
    {
        try
        {
            _machine ??= await BootAsync();
            await _machine.ModeAsync("emulating");
            await _machine.AskAsync(DefaultShunt);
            await test(_machine);
        }
        catch
        {
            await StopAsync();
            throw;
        }
    }

    public Task DisposeAsync() => StopAsync();

    public void Dispose() => _folder.Dispose();

    private Task<RunningMachine> BootAsync()
    {
        File.Delete(Disk);
        return RunningMachine.BootAsync(new OwnDisk().CopyTo(_folder));
    }

    private async Task StopAsync()
    {
        if (_machine is null) return;
        await _machine.DisposeAsync();
        _machine = null;
    }
}
