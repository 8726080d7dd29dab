module pulse_stretcher (
  input  logic       clk,
  input  logic       rst_n,
  input  logic       trigger,
  input  logic [3:0] length,
  output logic       stretched
);
  logic [3:0] remaining;

  always_ff @(posedge clk or negedge rst_n) begin
    if (!rst_n) remaining <= 4'd0;
    else if (trigger) remaining <= length;
    else if (remaining != 4'd0) remaining <= remaining - 4'd1;
  end

  assign stretched = remaining != 4'd0;
endmodule
