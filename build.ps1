#!/usr/bin/env pwsh
# What continuous integration does, step by step, for those who prefer PowerShell. See .ci/run.
$ErrorActionPreference = 'Stop'
Set-Location $PSScriptRoot

dotnet restore VmShunt.sln
if ($LASTEXITCODE) { exit $LASTEXITCODE }
dotnet format whitespace VmShunt.sln --no-restore --verify-no-changes
if ($LASTEXITCODE) { exit $LASTEXITCODE }
dotnet format style VmShunt.sln --no-restore --verify-no-changes
if ($LASTEXITCODE) { exit $LASTEXITCODE }
dotnet build VmShunt.sln -c Release --no-restore
if ($LASTEXITCODE) { exit $LASTEXITCODE }
dotnet build packaging -c Release
if ($LASTEXITCODE) { exit $LASTEXITCODE }
dotnet test -c Release --no-build
if ($LASTEXITCODE) { exit $LASTEXITCODE }
$env:VMSHUNT_HOST = "$PSScriptRoot/artifacts/native/vmshunt-host"
$env:VMSHUNT_HYPERVISOR = "$PSScriptRoot/artifacts/native/vmshunt-hypervisor"
dotnet test tests/VmShunt.EndToEnd -c Release --no-build --filter 'FullyQualifiedName!~.Docs.&FullyQualifiedName!~.Packaging.&FullyQualifiedName!~.Tool.'
exit $LASTEXITCODE
